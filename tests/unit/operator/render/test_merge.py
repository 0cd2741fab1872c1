"""The rules of strategic merge."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_operator.domain.render.merge import MergeError, merge


@pytest.mark.parametrize(
    ("base", "patch", "merged"),
    [
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}, id="objects are merged"),
        pytest.param({"a": 1, "b": 2}, {"b": None}, {"a": 1}, id="null deletes"),
        pytest.param({}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}, id="null in a new object means absent"),
        pytest.param({"args": ["a", "b"]}, {"args": ["c"]}, {"args": ["c"]}, id="lists are replaced"),
        pytest.param(
            {"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]},
            id="tolerations are replaced",
        ),
        pytest.param(
            {"containers": [{"name": "a", "image": "x", "tty": True}]},
            {"containers": [{"name": "a", "image": "y"}, {"name": "b"}]},
            {"containers": [{"name": "a", "image": "y", "tty": True}, {"name": "b"}]},
            id="containers are merged by name",
        ),
        pytest.param(
            {"containers": [{"name": "a", "image": "x"}, {"name": "b"}]},
            {"containers": [{"name": "a", "$patch": "delete"}]},
            {"containers": [{"name": "b"}]},
            id="an item is deleted",
        ),
        pytest.param(
            {"containers": [{"name": "a", "image": "x"}]},
            {"containers": [{"name": "a", "tty": True, "$patch": "replace"}]},
            {"containers": [{"name": "a", "tty": True}]},
            id="an item is replaced",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "emptyDir": {}}]},
            {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]},
            {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]},
            id="a volume never has two sources",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
            id="a variable never has two values",
        ),
    ],
)  # fmt: skip
def test_strategic_merge(base: dict[str, Any], patch: dict[str, Any], merged: dict[str, Any]) -> None:
    assert merge(base, patch) == merged


def test_an_unknown_directive_is_refused_with_its_path() -> None:
    with pytest.raises(MergeError, match=r"podTemplate\.containers\[0\]\.\$patch: must be 'delete' or 'replace'"):
        merge({}, {"containers": [{"name": "a", "$patch": "merge"}]})


# A busy machine is no reason to fail.
patiently = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

JSON = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


@patiently
@given(base=st.dictionaries(st.sampled_from("abcd"), JSON), patch=st.dictionaries(st.sampled_from("abcd"), JSON))
def test_a_patch_applied_twice_is_a_patch_applied_once(base: dict[str, Any], patch: dict[str, Any]) -> None:
    try:
        once = merge(base, patch)
    except MergeError:
        return
    assert merge(once, patch) == once


@patiently
@given(base=st.dictionaries(st.sampled_from("abcd"), JSON))
def test_an_empty_patch_changes_nothing(base: dict[str, Any]) -> None:
    assert merge(base, {}) == base
