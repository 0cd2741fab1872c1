"""What operator and runtime compare documents by, and how far they read one that is none."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lora_api.runtime_api import (
    MAX_MESSAGE_BYTES,
    MAX_NAMES,
    AdapterReport,
    Desired,
    DesiredAdapter,
    DesiredPatch,
    Inventory,
    Mismatch,
    Part,
    RevisionReport,
    RevisionSpec,
    RevisionState,
)
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_api.wire import WireModel


def test_documents_are_told_apart_by_their_etag_and_a_copy_has_its_own() -> None:
    document = Desired(sequence=1, adapters=(DesiredAdapter(name="x", uid="u"),))
    assert document.etag == Desired.unpacked(document.packed()).etag
    later = document.model_copy(update={"sequence": 2})
    assert later.etag != document.etag
    assert later.etag == Desired(sequence=2, adapters=document.adapters).etag
    assert document == Desired(sequence=1, adapters=document.adapters), "a known etag is no part of the value"


def entry(name: str, weight: float = 1.0) -> DesiredAdapter:
    source = AdapterSource(volume=VolumeSource(name="shared", path=name))
    part = Part(source=source, digest="sha256:" + "a" * 64, weight=weight)
    return DesiredAdapter(
        name=name, uid=f"uid-{name}", serve=RevisionSpec.of((part,), BlendMethod.CONCAT, Precision.AUTO)
    )


def test_a_document_is_hashed_as_runtimes_hash_it_that_know_no_entries_bytes() -> None:
    document = Desired(sequence=3, adapters=(entry("a", 0.1), entry('"b"'), DesiredAdapter(name="c")))
    assert document.canonical() == WireModel.canonical(document)
    other = document.adapters[0].model_copy(update={"uid": "else"})
    assert other.written != document.adapters[0].written


names = st.sampled_from("abcdef")
entries = st.dictionaries(names, st.sampled_from([0.5, 1.0])).map(
    lambda wishes: tuple(entry(name, weight) for name, weight in sorted(wishes.items()))
)


@given(entries, entries)
def test_what_changes_from_one_document_to_a_later_one_makes_the_later_one_of_it(
    before: tuple[DesiredAdapter, ...], after: tuple[DesiredAdapter, ...]
) -> None:
    earlier, later = Desired(sequence=1, adapters=before), Desired(sequence=2, adapters=after)
    patch = later.patch_from(earlier)
    assert earlier.patched(patch) == later
    assert not {changed.name for changed in patch.adapters if changed in before}


def test_a_patch_for_another_document_is_noticed() -> None:
    earlier, later = Desired(sequence=1, adapters=(entry("a"),)), Desired(sequence=2, adapters=(entry("a", 0.5),))
    other = Desired(sequence=1, adapters=(entry("a"), entry("b")))
    with pytest.raises(Mismatch):
        other.patched(later.patch_from(earlier))


def told(version: int, *reports: AdapterReport, since: int | None = None, gone: tuple[str, ...] = ()) -> Inventory:
    return Inventory(boot_id="boot", etag=f"boot-{version}", version=version, adapters=reports, since=since, gone=gone)


def serving(name: str, revision: str) -> AdapterReport:
    return AdapterReport(name=name, revisions=(RevisionReport(revision=revision, state=RevisionState.SERVING),))


A, B, A2 = serving("a", "11111111"), serving("b", "22222222"), serving("a", "33333333")


def test_news_replace_what_they_are_about_and_leave_the_rest() -> None:
    whole = told(3, A, B).followed_by(told(4, A2, since=3))
    assert whole == told(4, A2, B)
    assert whole is not None
    assert whole.adapter("b") is B
    assert whole.followed_by(told(5, since=4, gone=("b",))) == told(5, A2)


def test_news_may_overlap_with_what_is_known_and_must_not_leave_a_gap() -> None:
    assert told(4, A2, B).followed_by(told(5, A2, since=3, gone=("b",))) == told(5, A2)
    assert told(3, A, B).followed_by(told(5, A2, since=4)) is None
    assert told(3, A).followed_by(told(5, B, since=3).model_copy(update={"boot_id": "other"})) is None
    assert told(6, A).followed_by(told(5, A2, since=3)) is None, "it was overtaken"


def test_a_document_that_unfolds_into_too_much_is_not_unfolded() -> None:
    with pytest.raises(ValueError, match=f"longer than {MAX_MESSAGE_BYTES} bytes"):
        Desired.unpacked(gzip.compress(b" " * (MAX_MESSAGE_BYTES + 1)))


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Desired, '{"adapters": [0, 0, 0]}'),
        (Desired, '{"adapters": [{"name": "a", "serve": {"revision": "00000000", "parts": [0, 0, 0]}}]}'),
        (DesiredPatch, '{"sequence": 2, "etag": "e", "adapters": [0, 0, 0]}'),
        (DesiredPatch, '{"sequence": 2, "etag": "e", "removed": [0, 0, 0]}'),
        (Inventory, '{"bootId": "b", "etag": "e", "gone": [0, 0, 0]}'),
        (Inventory, '{"bootId": "b", "etag": "e", "adapters": [0, 0, 0]}'),
        (Inventory, '{"bootId": "b", "etag": "e", "adapters": [{"name": "a", "revisions": [0, 0, 0]}]}'),
    ],
)
def test_of_millions_of_mistakes_the_first_is_told(message: type[WireModel], text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        message.model_validate_json(text)
    places = [error["loc"] for error in refusal.value.errors()]
    assert not any(1 in place or 2 in place for place in places)


def test_more_names_than_an_engine_can_hold_are_not_read() -> None:
    names = ",".join(["{}"] * (MAX_NAMES + 1)).replace("{}", '{"name":"a"}')
    with pytest.raises(ValidationError, match="at most"):
        Inventory.model_validate_json(f'{{"bootId": "b", "etag": "e", "adapters": [{names}]}}')
