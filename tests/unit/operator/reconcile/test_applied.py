"""When a child counts as applied, and how old a look may be."""

from typing import Any

from lora_api import labels
from lora_api.runtime_api import Desired
from lora_operator.domain.observed import ModelKey, Refusal
from lora_operator.reconcile.applied import Applied, Seen
from lora_operator.reconcile.freshness import Freshness

KEY = ModelKey("team", "smol")
CHILD = "Deployment/smol"
DOCUMENT = Desired(sequence=7)
CONFIG_MAP: dict[str, Any] = {
    "metadata": {"name": "smol-desired", "uid": "u", "resourceVersion": "7"},
    "binaryData": {},
}


def a_child(generation: int = 1, uid: str = "u") -> dict[str, Any]:
    return {"metadata": {"uid": uid, "generation": generation, "annotations": {labels.TEMPLATE_HASH: "abc"}}}


def test_a_child_of_an_earlier_process_is_as_its_hash_says() -> None:
    assert Applied().hash(KEY, CHILD, a_child(generation=7)) == "abc"


def test_a_child_of_an_earlier_process_is_inherited_until_it_is_applied_here() -> None:
    applied = Applied()
    applied.hash(KEY, CHILD, a_child())
    assert applied.inherited(KEY, [CHILD]) == {CHILD}
    applied.note_applied(KEY, CHILD, a_child())
    assert applied.inherited(KEY, [CHILD, "Service/smol"]) == {"Service/smol"}
    applied.forget(KEY)
    assert applied.inherited(KEY, [CHILD]) == {CHILD}


def test_a_child_that_somebody_edited_has_no_hash_until_it_is_applied_again() -> None:
    applied = Applied()
    applied.note_applied(KEY, CHILD, a_child(generation=1))
    assert applied.hash(KEY, CHILD, a_child(generation=2)) == ""
    applied.note_applied(KEY, CHILD, a_child(generation=3))
    assert applied.hash(KEY, CHILD, a_child(generation=3)) == "abc"


def test_a_child_that_was_made_anew_by_somebody_has_no_hash() -> None:
    applied = Applied()
    applied.note_applied(KEY, CHILD, a_child(uid="ours"))
    assert applied.hash(KEY, CHILD, a_child(uid="theirs")) == ""


def test_a_label_that_somebody_took_is_an_edit_although_the_generation_stays() -> None:
    def labelled(*ours: str) -> dict[str, Any]:
        fields: dict[str, Any] = {"f:metadata": {"f:labels": {f"f:{name}": {} for name in ours}}}
        entry = {"manager": labels.FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields}
        stored = a_child(generation=3)
        return {"metadata": stored["metadata"] | {"managedFields": [entry]}}

    applied = Applied()
    applied.note_applied(KEY, CHILD, labelled("app", "team"))
    assert applied.hash(KEY, CHILD, labelled("app", "team")) == "abc"
    assert applied.hash(KEY, CHILD, labelled("app")) == ""
    assert not applied.knows(KEY, CHILD, labelled("app")["metadata"])


def a_service(*ours: str) -> dict[str, Any]:
    """As stored, when these fields are as they were applied."""
    fields = [
        {
            "manager": labels.FIELD_MANAGER,
            "operation": "Apply",
            "fieldsV1": {"f:spec": {f"f:{name}": {} for name in ours}},
        },
        {"manager": "somebody", "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {}}},
    ]
    return {"metadata": {"uid": "u", "annotations": {labels.TEMPLATE_HASH: "abc"}, "managedFields": fields}}


def test_a_service_has_no_generation_and_is_edited_when_a_field_of_it_became_somebody_elses() -> None:
    applied = Applied()
    applied.note_applied(KEY, "Service/smol", a_service("ports", "selector"))
    assert applied.hash(KEY, "Service/smol", a_service("selector", "ports")) == "abc"
    assert applied.hash(KEY, "Service/smol", a_service("ports")) == ""


def test_what_others_add_to_a_service_or_to_its_status_is_no_edit_of_what_was_applied() -> None:
    applied, stored = Applied(), a_service("ports", "selector")
    applied.note_applied(KEY, "Service/smol", stored)
    more = [*stored["metadata"]["managedFields"], {"manager": "cloud", "subresource": "status", "fieldsV1": {}}]
    assert applied.hash(KEY, "Service/smol", {"metadata": stored["metadata"] | {"managedFields": more}}) == "abc"


def test_a_refusal_is_known_until_the_child_is_taken() -> None:
    applied = Applied()
    applied.note_refused(KEY, CHILD, Refusal("abc", "no"))
    assert applied.refused(KEY) == {CHILD: Refusal("abc", "no")}
    applied.note_applied(KEY, CHILD, a_child())
    assert applied.refused(KEY) == {}


def test_what_was_seen_lately_is_not_read_again_and_what_was_applied_since_is_in_it() -> None:
    applied = Applied()
    assert applied.seen(KEY) is None
    applied.note_seen(KEY, {}, None)
    applied.note_applied(KEY, "Service/smol", a_child())
    applied.note_stored(KEY, DOCUMENT, CONFIG_MAP)
    assert applied.seen(KEY) == Seen(
        {"Service/smol": a_child(), "ConfigMap/smol-desired": {"metadata": CONFIG_MAP["metadata"]}},
        DOCUMENT,
        stored=DOCUMENT,
    )


def test_a_document_whose_config_map_is_gone_is_remembered_as_last_known() -> None:
    applied = Applied()
    applied.note_stored(KEY, DOCUMENT, CONFIG_MAP)
    assert applied.note_seen(KEY, {}, None) == Seen({}, DOCUMENT, stored=None)


def test_a_newer_document_that_was_stored_by_another_hand_is_the_one_in_force() -> None:
    applied, newer = Applied(), Desired(sequence=DOCUMENT.sequence + 1)
    applied.note_stored(KEY, DOCUMENT, CONFIG_MAP)
    assert applied.note_seen(KEY, {}, newer) == Seen({}, newer, stored=newer)


def test_a_document_that_was_told_is_in_force_although_an_older_one_is_stored() -> None:
    applied, told = Applied(), Desired(sequence=DOCUMENT.sequence + 1)
    applied.note_stored(KEY, DOCUMENT, CONFIG_MAP)
    applied.note_told(KEY, told)
    assert applied.seen(KEY) is None
    assert applied.note_seen(KEY, {}, DOCUMENT) == Seen({}, told, stored=DOCUMENT)


def test_the_document_of_a_deleted_model_is_forgotten() -> None:
    applied = Applied()
    applied.note_stored(KEY, DOCUMENT, CONFIG_MAP)
    applied.forget(KEY)
    assert applied.note_seen(KEY, {}, None) == Seen({}, None, stored=None)


def test_a_look_is_no_longer_good_once_another_hand_was_noticed() -> None:
    applied = Applied()
    assert applied.seen(KEY) is None
    applied.note_seen(KEY, {}, DOCUMENT)
    assert applied.seen(KEY) is not None
    applied.doubt(KEY)
    assert applied.seen(KEY) is None


def test_what_another_hand_touched_while_it_was_being_read_is_read_again() -> None:
    applied = Applied()
    assert applied.seen(KEY) is None
    applied.doubt(KEY)
    applied.note_seen(KEY, {}, DOCUMENT)
    assert applied.seen(KEY) is None


def test_what_was_written_here_is_known_and_what_another_hand_did_to_it_is_not() -> None:
    applied = Applied()
    written = a_child(generation=2)["metadata"]
    applied.note_applied(KEY, CHILD, {"metadata": written})
    applied.note_stored(KEY, DOCUMENT, CONFIG_MAP)
    document = CONFIG_MAP["metadata"]
    assert applied.knows(KEY, CHILD, {**written, "resourceVersion": "8"}), "another status at most"
    assert not applied.knows(KEY, CHILD, {**written, "generation": 3})
    assert applied.knows(KEY, "ConfigMap/smol-desired", document)
    assert not applied.knows(KEY, "ConfigMap/smol-desired", {**document, "resourceVersion": "8"})
    assert not applied.knows(ModelKey("team", "other"), CHILD, written)


def test_the_newest_version_of_a_kind_never_goes_back() -> None:
    freshness = Freshness()
    assert freshness.newest("Pod") is None
    freshness.note("Pod", "10")
    freshness.note("Pod", "9")
    freshness.note("LoRAModel", "99")
    assert freshness.newest("Pod") == "10"
    freshness.forget("Pod")
    assert freshness.newest("Pod") is None
