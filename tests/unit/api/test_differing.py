from hypothesis import given
from hypothesis import strategies as st

from lora_api.differing import differing

ONE, EQUAL_TO_ONE, OTHER = (object(), [1], [1])
mappings = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([ONE, EQUAL_TO_ONE, OTHER]))


@given(mappings, mappings)
def test_keys_differ_that_have_not_the_same_object_in_both(before: dict[str, object], after: dict[str, object]) -> None:
    nothing = object()
    assert differing(before, after) == {
        key for key in before | after if before.get(key, nothing) is not after.get(key, nothing)
    }


def test_equal_objects_differ() -> None:
    assert differing({"a": EQUAL_TO_ONE}, {"a": OTHER}) == {"a"}
