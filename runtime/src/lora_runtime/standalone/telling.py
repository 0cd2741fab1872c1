"""What is said of each adapter. Pure."""

from lora_api.local_api import LocalAdapter, LocalFile, LocalState
from lora_api.recipes.outcome import Outcome, Wanted
from lora_api.runtime_api import AdapterReport, Inventory, RevisionState
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.engine.protocol import NotServed
from lora_runtime.standalone import past
from lora_runtime.standalone.conclude import Concluded, Limits
from lora_runtime.standalone.past import Past, Pasts
from lora_runtime.standalone.wish import Wish


def state_of(
    concluded: Concluded, pasts: Pasts, inventory: Inventory, file: LocalFile | None, limits: Limits, *, settled: bool
) -> LocalState:
    """All of it."""
    return LocalState(
        base=limits.base,
        source=limits.source,
        max_rank=limits.max_rank,
        started=limits.started,
        settled=settled,
        capacity=inventory.capacity,
        file=file,
        adapters=tuple(_told(wish, concluded, pasts.get(wish.uid, past.NONE), inventory) for wish in concluded.wishes),
    )


def only_checked(wish: Wish) -> LocalAdapter:
    """An adapter as it would be declared."""
    return LocalAdapter(
        name=wish.name,
        served_name=wish.served_name,
        spec=wish.spec,
        version=wish.version,
        declared_by=wish.declared_by,
        ready=False,
        reason=Reason.PENDING,
        message="it was only checked",
    )


def why_not_served(state: LocalState, served_name: str) -> NotServed | None:
    """Why a declared name is not served; None for one that is served, or was never declared."""
    found = next((adapter for adapter in state.adapters if adapter.served_name == served_name), None)
    if found is None or (found.report is not None and found.report.serving is not None):
        return None
    message = f"The adapter `{served_name}` is declared but not served yet: {found.reason}: {found.message}."
    return NotServed(found.reason, message)


def _told(wish: Wish, concluded: Concluded, before: Past, inventory: Inventory) -> LocalAdapter:
    outcome = concluded.outcomes[wish.uid]
    owned = any(entry.uid == wish.uid and entry.name == wish.served_name for entry in concluded.document.adapters)
    report = inventory.adapter(wish.served_name) if owned else None
    reason, message = _reason(outcome, report)
    answer = concluded.answers.get(wish.uid)
    return LocalAdapter(
        name=wish.name,
        served_name=wish.served_name,
        spec=wish.spec,
        version=wish.version,
        generation=before.generation,
        declared_by=wish.declared_by,
        ready=reason is Reason.SERVING,
        reason=reason,
        message=message,
        revision=outcome.spec.revision if isinstance(outcome, Wanted) else None,
        facts=None if answer is None else answer.facts,
        report=report,
        history=before.history,
    )


def _reason(outcome: Outcome, report: AdapterReport | None) -> tuple[Reason, str]:
    if not isinstance(outcome, Wanted):
        return outcome.reason, outcome.message
    found = None if report is None else report.report(outcome.spec.revision)
    if found is None:
        return Reason.LOADING, "it is about to be loaded"
    if found.state is RevisionState.SERVING:
        return found.reason or Reason.SERVING, found.message
    if found.state is RevisionState.FAILED:
        return found.reason or Reason.LOAD_FAILED, found.message
    return Reason.LOADING, f"its revision {found.revision} is {found.state}"
