"""From wishes, and what their sources turned out to be, to the document that should be in force. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lora_api.recipes import revisions, side_by_side
from lora_api.recipes.outcome import Blocked, Outcome, Rejected, Wanted
from lora_api.runtime_api import AdapterFacts, Desired, DesiredAdapter, ResolveResponse
from lora_api.v1alpha1.common import ModelSource
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_runtime.standalone.wish import Wish

Answers = Mapping[str, ResolveResponse]
"""By UID: the last answer about the source that is wished now."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for all adapters of this process."""

    base: str
    """What clients call the base model."""
    max_rank: int
    source: ModelSource | None = None
    """Where the base model's files come from."""
    started: str = ""
    """When the process did, as in RFC 3339."""


@dataclass(frozen=True, slots=True)
class Concluded:
    """What the wishes come to."""

    wishes: tuple[Wish, ...]
    answers: Answers
    outcomes: Mapping[str, Outcome]
    """By UID."""
    document: Desired


NOTHING = Concluded((), {}, {}, Desired())


def conclude(
    wishes: Sequence[Wish], answers: Answers, limits: Limits, before: Desired | None, *, keep_others: bool = False
) -> Concluded:
    """Concludes; an adapter whose new wish cannot be served goes on as it is.

    Args:
        wishes: all that is declared; of two that claim a name, the earlier has it.
        answers: about their sources.
        limits: hold for all adapters.
        before: the document in force.
        keep_others: whether what nobody wishes goes on, too: not all wishes are known.
    """
    rejected = side_by_side.rejections(wishes, limits.base, lambda spec: None)
    known = {
        wish.uid: _facts(answers.get(wish.uid))
        for wish in wishes
        if wish.spec.blend is None and wish.uid not in rejected
    }
    outcomes = revisions.outcomes(wishes, rejected, known, limits.max_rank)
    served = {entry.name: entry for entry in (() if before is None else before.adapters)}
    wanted = dict(served) if keep_others else {}
    for wish in wishes:
        outcome = outcomes[wish.uid]
        if not (isinstance(outcome, Rejected) and outcome.reason is Reason.NAME_CONFLICT):
            wanted[wish.served_name] = _entry(wish, outcome, served.get(wish.served_name))
    adapters = tuple(wanted[name] for name in sorted(wanted))
    if before is not None and adapters == before.adapters:
        return Concluded(tuple(wishes), answers, outcomes, before)
    document = Desired(sequence=0 if before is None else before.sequence + 1, adapters=adapters)
    return Concluded(tuple(wishes), answers, outcomes, document)


def _entry(wish: Wish, outcome: Outcome, before: DesiredAdapter | None) -> DesiredAdapter:
    serve = before.serve if before is not None and before.uid == wish.uid else None
    if isinstance(outcome, Wanted):
        serve = outcome.spec
    return DesiredAdapter(name=wish.served_name, uid=wish.uid, serve=serve)


def _facts(answer: ResolveResponse | None) -> AdapterFacts | Blocked:
    if answer is None or (answer.facts is None and answer.refusal is None):
        so_far = (
            ""
            if answer is None or not answer.bytes_total
            else (f": {100 * (answer.bytes_done or 0) // answer.bytes_total}% of {answer.bytes_total} bytes")
        )
        return Blocked(AdapterCondition.FETCHED, Reason.FETCHING, f"its files are being fetched{so_far}", waiting=True)
    if answer.facts is not None:
        return answer.facts
    assert answer.refusal is not None  # noqa: S101  (see above)
    return Blocked(answer.refusal.condition, answer.refusal.reason, answer.refusal.message)
