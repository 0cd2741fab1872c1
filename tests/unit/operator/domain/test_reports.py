"""Which statuses are stored now, and until when others wait."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_operator.domain import reports
from lora_operator.domain.actions import WriteAdapterStatus
from lora_operator.domain.reports import Report
from support.builders import NOW, an_adapter


def a_report(name: str, *, may_wait: bool = True, in_turn: bool = True) -> Report:
    write = WriteAdapterStatus(name, f"uid-{name}", LoRAAdapterStatus(), (), an_adapter(name).meta.version)
    return Report(f"uid-{name}", write, may_wait, in_turn)


def told(
    found: Iterable[Report], untold: Mapping[str, float] | None, now: float = 0
) -> tuple[set[str], dict[str, float]]:
    """Whose status is stored now, and until when others wait: names, and seconds."""
    waited = None if untold is None else {f"uid-{n}": NOW + timedelta(seconds=at) for n, at in untold.items()}
    actions, waiting = reports.told_now(found, waited, NOW + timedelta(seconds=now))
    names = {action.name for action in actions if isinstance(action, WriteAdapterStatus)}
    return names, {uid.removeprefix("uid-"): (until - NOW).total_seconds() for uid, until in waiting.items()}


def test_what_may_not_wait_is_told_before_all_turns() -> None:
    assert told([a_report("a"), a_report("b", may_wait=False)], {}) == ({"b"}, {"a": 1})


def test_a_turn_comes_sooner_where_those_before_have_arrived() -> None:
    assert told([a_report("a")], {"a": 9}, now=2) == (set(), {"a": 3})


def test_a_turn_is_never_put_off_by_those_who_come_later() -> None:
    assert told([a_report("new"), a_report("a")], {"a": 1}, now=0.5) == (set(), {"a": 1, "new": 1.52})


def test_what_was_told_of_before_waits_for_nobody_s_turn() -> None:
    found = [a_report("a"), a_report("b"), a_report("known", in_turn=False)]
    assert told(found, {}) == (set(), {"a": 1, "b": 1.02, "known": 1})


def test_without_a_last_plan_everything_is_told() -> None:
    assert told([a_report("a"), a_report("b")], None) == ({"a", "b"}, {})
