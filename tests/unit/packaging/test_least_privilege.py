"""The comparison itself: which rights count as used, and which calls as granted."""

from collections.abc import Mapping
from typing import Any

from support.least_privilege import Comparison, Right, compare

ACCOUNT = "system:serviceaccount:lora-operator:lora-operator"
FITS = Comparison((), (), ())


def a_role(*verbs: str, resource: str = "pods", group: str = "", **rest: Any) -> Mapping[str, Any]:
    return {"rules": [{"apiGroups": [group], "resources": [resource], "verbs": list(verbs), **rest}]}


def a_call(
    verb: str, resource: str = "pods", name: str = "", *, code: int = 200, user: str = ACCOUNT, **place: str
) -> Mapping[str, Any]:
    reference = {"resource": resource, "namespace": "team"} | ({"name": name} if name else {}) | place
    return {
        "verb": verb,
        "user": {"username": user},
        "requestURI": f"/api/v1/namespaces/{reference['namespace']}/{resource}?limit=500",
        "objectRef": reference,
        "responseStatus": {"code": code},
    }


def test_what_is_granted_and_used_is_no_finding() -> None:
    assert compare([a_role("list")], [a_call("list")], ACCOUNT) == FITS


def test_a_right_that_nobody_used_is_found() -> None:
    assert compare([a_role("list", "watch")], [a_call("list")], ACCOUNT).unused == ("watch /pods",)


def test_the_calls_of_others_use_nothing() -> None:
    assert compare([a_role("list")], [a_call("list", user="kubernetes-admin")], ACCOUNT).unused == ("list /pods",)


def test_a_call_that_was_not_granted_is_found_whatever_the_answer() -> None:
    found = compare([], [a_call("delete", name="x", code=403), a_call("get", name="y")], ACCOUNT)
    assert found.ungranted == ("delete /pods x", "get /pods y")


def test_a_call_that_is_granted_in_another_namespace_only_is_found_by_its_answer() -> None:
    calls = [a_call("list"), a_call("list", namespace="other", code=403), a_call("list", namespace="theirs", code=404)]
    found = compare([a_role("list")], calls, ACCOUNT)
    assert found == Comparison((), (), (), denied=("list /api/v1/namespaces/other/pods",))


def test_a_refusal_is_found_with_the_words_of_the_answer() -> None:
    refused = a_call("create", code=403)
    refused["responseStatus"]["message"] = "is forbidden: no RESTMapping"
    found = compare([a_role("create")], [refused], ACCOUNT)
    assert found.denied == ("create /api/v1/namespaces/team/pods: is forbidden: no RESTMapping",)


def test_what_others_are_refused_is_no_finding() -> None:
    assert compare([], [a_call("list", code=403, user="kubernetes-admin")], ACCOUNT) == FITS


def test_groups_and_subresources_are_told_apart() -> None:
    roles = [a_role("patch", resource="loramodels/status", group="lora-operator.io")]
    group = "lora-operator.io"
    assert (
        compare(roles, [a_call("patch", "loramodels", "smol", apiGroup=group, subresource="status")], ACCOUNT) == FITS
    )
    found = compare(roles, [a_call("patch", "loramodels", "smol", apiGroup=group)], ACCOUNT)
    assert found == Comparison(
        ("patch lora-operator.io/loramodels/status",), ("patch lora-operator.io/loramodels smol",), ()
    )


def test_a_right_to_one_object_is_none_to_others() -> None:
    roles = [a_role("patch", resource="secrets", resourceNames=["ours"])]
    assert compare(roles, [a_call("patch", "secrets", "ours")], ACCOUNT) == FITS
    found = compare(roles, [a_call("patch", "secrets", "theirs")], ACCOUNT)
    assert found == Comparison(("patch /secrets ours",), ("patch /secrets theirs",), ())


def test_an_apply_that_makes_an_object_uses_the_right_to_create_it() -> None:
    roles = [a_role("create", "patch")]
    assert compare(roles, [a_call("patch", name="x")], ACCOUNT).unused == ("create /pods",)
    assert compare(roles, [a_call("patch", name="x", code=201)], ACCOUNT) == FITS


def test_each_look_at_a_secret_is_found_even_if_it_was_granted() -> None:
    roles = [a_role("get", "list", resource="secrets")]
    found = compare(roles, [a_call("get", "secrets", "x"), a_call("list", "secrets")], ACCOUNT)
    assert found == Comparison((), (), ("get /secrets x", "list /secrets"))


def test_discovery_needs_no_right() -> None:
    assert compare([], [{"verb": "get", "user": {"username": ACCOUNT}, "requestURI": "/apis"}], ACCOUNT) == FITS


def test_a_right_that_only_admission_asks_about_counts_as_used() -> None:
    roles = [a_role("update", resource="loramodels/finalizers", group="lora-operator.io")]
    right = Right("update", "lora-operator.io/loramodels/finalizers")
    assert compare(roles, [], ACCOUNT, by_admission=[right]) == FITS
