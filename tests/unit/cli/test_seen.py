from lora_cli.domain.seen import LISTED, after, listed

A, B = ({"metadata": {"uid": uid}} for uid in "ab")
NEWER = {"metadata": {"uid": "a"}, "spec": 2}


def test_each_event_leaves_what_there_is() -> None:
    seen = after(listed([A]), "ADDED", B)
    assert seen == {"a": A, "b": B}
    assert after(seen, "MODIFIED", NEWER) == {"a": NEWER, "b": B}
    assert after(seen, "DELETED", A) == {"b": B}
    assert after(listed([A]), "DELETED", B) == {"a": A}


def test_a_list_takes_away_what_it_does_not_have() -> None:
    assert after(listed([A, B]), LISTED, {"items": [NEWER]}) == {"a": NEWER}
