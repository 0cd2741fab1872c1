"""The next desired document: when each served name goes from one revision to the next.

A good revision is never given up for a bad one: no pod is told to serve a revision before every serving pod has it in
its engine, or, with the strategy Rolling, one of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter

from lora_api.differing import differing
from lora_api.mixture_api import MixtureSpec
from lora_api.recipes.outcome import Outcome, Rejected, Wanted
from lora_api.runtime_api import Desired, DesiredAdapter, RevisionSpec
from lora_api.v1alpha1.adapter import UpdateStrategy
from lora_api.v1alpha1.conditions import Reason
from lora_operator.domain.observed import ObservedAdapter, ObservedPod, Unreachable
from lora_operator.domain.replicas import Replica

_name = attrgetter("name")

_SAID = 10
"""So many changes of a document are said in words."""

_NAMELESS = frozenset({Reason.NAME_CONFLICT, Reason.MODEL_IS_MIXTURE})
"""Adapters that are rejected for one of these are not so much as declared to the pods."""

_ENOUGH: Mapping[UpdateStrategy, Callable[[Iterable[bool]], bool]] = {
    UpdateStrategy.TOGETHER: all,
    # the first pod has shown that it can be loaded; each of the others serves the old one until it has the new one
    UpdateStrategy.ROLLING: any,
}
"""Of the serving pods, who must have a new revision before it is the one to serve."""


def entries(
    previous: Desired | None,
    adapters: Iterable[ObservedAdapter],
    outcomes: Mapping[str, Outcome],
    replicas: tuple[Replica, ...],
) -> Mapping[str, DesiredAdapter]:
    """What the next document says of these adapters, by UID; that of `previous` where nothing changes.

    Every declared served name is in it; one with neither `serve` nor `prepare` is not ready yet.
    """
    before = {} if previous is None else previous.by_name
    # A report about an earlier document may be of a revision that the pod is about to discard.
    heard = [previous is not None and replica.document == previous.etag for replica in replicas]
    # Unless it is about a later one: somebody has put an old document back, and what that says is served is not.
    ahead = [previous is not None and (replica.sequence or 0) > previous.sequence for replica in replicas]
    found = {}
    for adapter in adapters:
        outcome, old = outcomes[adapter.meta.uid], before.get(adapter.served_name)
        if isinstance(outcome, Rejected) and outcome.reason in _NAMELESS:
            continue
        entry = _entry(adapter, outcome, old, replicas, heard, ahead)
        found[adapter.meta.uid] = old if old is not None and entry == old else entry
    return found


def next_desired(
    previous: Desired | None,
    entries: Iterable[DesiredAdapter],
    pods: tuple[ObservedPod, ...],
    mixture: MixtureSpec | None = None,
) -> Desired:
    """The document that should be in force now, with these entries; `previous` itself when nothing changes."""
    wanted = tuple(sorted(entries, key=_name))
    stays = previous is not None and (wanted, mixture) == (previous.adapters, previous.mixture)
    if previous is not None and stays and not _pods_know_other(previous, pods):
        return previous
    return Desired(sequence=_newest_sequence(previous, pods) + 1, adapters=wanted, mixture=mixture)


def changes(previous: Desired | None, document: Desired) -> str:
    """What the document changes, in words."""
    if previous is None:
        return "there is no desired document"
    said = tuple(_changes(previous, document))
    if len(said) > _SAID:
        return f"{'; '.join(said[:_SAID])}; and {len(said) - _SAID} more"
    return "; ".join(said) if said else "pods report a document newer than the stored one"


def _entry(
    adapter: ObservedAdapter,
    outcome: Outcome,
    before: DesiredAdapter | None,
    replicas: tuple[Replica, ...],
    heard: list[bool],
    ahead: list[bool],
) -> DesiredAdapter:
    """The next entry; `heard` says of each replica whether it reports on the previous document, `ahead` on a later one."""
    # an object that was created anew inherits nothing from one that had its name
    old = before if before is not None and before.uid == adapter.meta.uid else None
    serving = None if old is None else old.serve
    entry = DesiredAdapter(name=adapter.served_name, uid=adapter.meta.uid, serve=serving)
    if not isinstance(outcome, Wanted):
        return entry
    wanted = outcome.spec
    if old is None or serving is None or serving.revision == wanted.revision:
        return _serve(entry, wanted)
    # a report counts only if it was asked for: one about an earlier, given up attempt may be stale
    asked = old.prepare is not None and _is_asked_for(old.prepare, wanted)
    have = [
        (asked and knows and replica.has_in_engine(entry.name, wanted.revision))
        or (knows_more and replica.serving(entry.name, entry.uid) == wanted.revision)
        for replica, knows, knows_more in zip(replicas, heard, ahead, strict=True)
    ]
    # without a pod to try it, the good one stays the one that pods begin with
    if have and _ENOUGH[adapter.spec.update.strategy](have):
        return _serve(entry, wanted)
    return entry.model_copy(update={"prepare": wanted})


def _is_asked_for(prepared: RevisionSpec, wanted: RevisionSpec) -> bool:
    # what was held against another golden output may not pass this one
    return prepared.revision == wanted.revision and prepared.verify == wanted.verify


def _serve(entry: DesiredAdapter, revision: RevisionSpec) -> DesiredAdapter:
    return entry.model_copy(update={"serve": revision, "prepare": None})


def _newest_sequence(previous: Desired | None, pods: tuple[ObservedPod, ...]) -> int:
    stored = 0 if previous is None else previous.sequence
    told = (pod.inventory.desired_sequence for pod in pods if not isinstance(pod.inventory, Unreachable))
    return max(stored, *(sequence or 0 for sequence in told), 0)


def _pods_know_other(previous: Desired, pods: tuple[ObservedPod, ...]) -> bool:
    """Whether some pod works on a document that it would not give up for `previous`.

    That happens when the ConfigMap was restored from a backup, or written by hand.
    """
    etag = previous.etag
    for pod in pods:
        if isinstance(pod.inventory, Unreachable) or pod.inventory.desired_sequence is None:
            continue
        ahead = pod.inventory.desired_sequence - previous.sequence
        if ahead > 0 or (ahead == 0 and pod.inventory.desired_etag != etag):
            return True
    return False


def _changes(previous: Desired, document: Desired) -> Iterator[str]:
    if document.mixture is None and previous.mixture is not None:
        yield "no mixture any more"
    elif document.mixture is not None and document.mixture != previous.mixture:
        yield f"mixture: serve {document.mixture.revision}"
    for name in sorted(differing(previous.by_name, document.by_name)):
        old, new = previous.by_name.get(name), document.by_name.get(name)
        if old == new:
            continue
        if new is None:
            yield f"{name}: no longer declared"
        elif new.prepare is not None and (old is None or old.prepare != new.prepare):
            yield f"{name}: prepare {new.prepare.revision}"
        elif new.serve is not None and (old is None or old.serve != new.serve):
            yield f"{name}: serve {new.serve.revision}"
        else:
            yield f"{name}: declared"
