from hypothesis import given
from hypothesis import strategies as st

from lora_runtime.engine.admission import Admission, Ticket


def asked(admission: Admission, *names: str, since: float = 0.0) -> list[Ticket]:
    tickets = [Ticket(name, None if name == "base" else f"{name}@1", since) for name in names]
    for ticket in tickets:
        admission.ask(ticket)
    return tickets


def names(tickets: list[Ticket]) -> list[str]:
    return [ticket.name for ticket in tickets]


def test_everybody_goes_in_at_once_while_there_is_room() -> None:
    admission = Admission(slots=2, sequences=4)
    asked(admission, "a", "b", "base")
    assert sorted(names(admission.admit(0))) == ["a", "b", "base"]


def test_who_has_fewer_generations_in_the_engine_goes_before_who_came_earlier() -> None:
    admission = Admission(slots=4, sequences=3)
    flood = asked(admission, *["flood"] * 10)
    admission.admit(0)
    asked(admission, "quiet", since=1)
    admission.leave(flood[0])
    assert names(admission.admit(1)) == ["quiet"]


def test_a_flood_and_a_trickle_each_get_their_share_of_the_engine() -> None:
    admission = Admission(slots=4, sequences=8)
    asked(admission, *["flood"] * 100, *["other"] * 100)
    admitted = names(admission.admit(0))
    assert admitted.count("flood") == admitted.count("other") == 4


def test_no_more_adapters_than_slots_are_in_use_and_the_base_needs_none() -> None:
    admission = Admission(slots=1, sequences=8)
    asked(admission, "a", "b", "base")
    assert names(admission.admit(0)) == ["a", "base"]


def test_a_slot_goes_to_who_waits_once_its_adapter_has_nothing_in_the_engine() -> None:
    admission = Admission(slots=1, sequences=8)
    first, _ = asked(admission, "a", "b")
    admission.admit(0)
    admission.leave(first)
    assert names(admission.admit(0)) == ["b"]


def test_an_adapter_that_is_always_busy_gives_its_slot_back_when_another_has_waited_long_enough() -> None:
    admission = Admission(slots=1, sequences=8, patience_seconds=1)
    first, _ = asked(admission, "busy", "cold")
    admission.admit(0)
    (second,) = asked(admission, "busy", since=0.5)
    assert admission.admit(0.5) == [second]
    asked(admission, "busy", since=2)
    assert admission.admit(2) == []
    admission.leave(first)
    admission.leave(second)
    assert names(admission.admit(2)) == ["cold"]


def test_the_base_is_admitted_while_adapters_wait_for_slots() -> None:
    admission = Admission(slots=1, sequences=8, patience_seconds=1)
    asked(admission, "a", "b")
    admission.admit(0)
    asked(admission, "base", since=5)
    assert names(admission.admit(5)) == ["base"]


def test_who_gives_up_while_waiting_is_never_admitted() -> None:
    admission = Admission(slots=1, sequences=1)
    first, second = asked(admission, "a", "b")
    admission.admit(0)
    admission.leave(second)
    admission.leave(first)
    assert admission.admit(0) == []
    assert admission.waiting == 0


def test_leaving_twice_counts_once() -> None:
    admission = Admission(slots=1, sequences=2)
    first, _, third = asked(admission, "a", "a", "a")
    admission.admit(0)
    admission.leave(first)
    admission.leave(first)
    assert admission.admit(0) == [third]
    assert admission.uses("a@1")


@given(
    arrivals=st.lists(st.sampled_from(["a", "b", "c", "d", "base"]), min_size=1, max_size=60),
    slots=st.integers(1, 3),
    sequences=st.integers(1, 6),
    ends=st.randoms(use_true_random=False),
)
def test_everybody_is_served_in_the_end_and_no_limit_is_ever_exceeded(
    arrivals: list[str], slots: int, sequences: int, ends: object
) -> None:
    admission = Admission(slots=slots, sequences=sequences, patience_seconds=1)
    running: list[Ticket] = []
    served = 0
    coming = list(arrivals)
    now = 0.0
    while served < len(arrivals):
        now += 0.3
        if coming:
            asked(admission, coming.pop(0), since=now)
        running += admission.admit(now)
        assert len(running) <= sequences
        assert len({ticket.adapter for ticket in running if ticket.adapter}) <= slots
        if running and (not coming or ends.random() < 0.4):  # type: ignore[attr-defined]
            admission.leave(running.pop(ends.randrange(len(running))))  # type: ignore[attr-defined]
            served += 1
        assert now < 1000, "somebody waits for ever"
