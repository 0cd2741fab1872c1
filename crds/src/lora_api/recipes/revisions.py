"""The revision each adapter should be served as: its recipe, down to trained parts and their weights."""

import graphlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from lora_api.recipes import blends
from lora_api.recipes.declared import Declared
from lora_api.recipes.outcome import Blocked, Outcome, Rejected, Wanted
from lora_api.runtime_api import AdapterFacts, Part, RevisionSpec
from lora_api.v1alpha1.adapter import LoRAAdapterSpec
from lora_api.v1alpha1.blend import Blend, BlendMethod
from lora_api.v1alpha1.conditions import AdapterCondition, Reason

Known = Mapping[str, AdapterFacts | Blocked]
"""By UID: the facts of every accepted adapter that has a source."""


def outcomes(
    adapters: Sequence[Declared],
    rejected: Mapping[str, Rejected],
    known: Known,
    max_rank: int,
    earlier: Mapping[str, Outcome] | None = None,
    moved: Collection[str] | None = None,
) -> Mapping[str, Outcome]:
    """What to serve for each adapter, or why not, by UID.

    Assumes that blends with missing members, and those in a cycle, are among the rejected.

    Args:
        adapters: all of the model, or all that are to be concluded about where none is a blend.
        rejected: those that are not accepted, by UID.
        known: see Known.
        max_rank: the largest that the model takes.
        earlier: what they came to before.
        moved: UIDs of those of which something else may hold now, unless it is for a blend's members; None: of all.
    """
    earlier = earlier or {}
    found: dict[str, Outcome] = {}
    mixed: dict[str, tuple[Declared, Blend]] = {}
    for adapter in adapters:
        uid = adapter.uid
        if uid in rejected:
            found[uid] = rejected[uid]
        elif adapter.spec.blend is not None:
            mixed[adapter.name] = adapter, adapter.spec.blend
        elif moved is not None and uid not in moved:
            found[uid] = earlier[uid]
        else:
            found[uid] = _checked(adapter.spec, _trained(adapter.spec, known[uid], max_rank))
    if not mixed:
        return found
    uids = {adapter.name: adapter.uid for adapter in adapters}
    files = {facts.digest: facts for facts in known.values() if isinstance(facts, AdapterFacts)}
    for name in _members_first(mixed):
        adapter, blend = mixed[name]
        members = {member.adapter_ref.name: found[uids[member.adapter_ref.name]] for member in blend.members}
        still = all(earlier.get(uids[member]) == outcome for member, outcome in members.items())
        if moved is not None and adapter.uid not in moved and still:
            found[adapter.uid] = earlier[adapter.uid]
        else:
            blended = _blended(adapter.spec, blend, members, files, max_rank)
            found[adapter.uid] = _checked(adapter.spec, blended)
    return found


def _checked(spec: LoRAAdapterSpec, outcome: Wanted | Blocked) -> Wanted | Blocked:
    """The same, with what it must answer: an adapter's own matter, which its members' do not add to."""
    if isinstance(outcome, Blocked) or spec.verify is None:
        return outcome
    return replace(outcome, spec=outcome.spec.model_copy(update={"verify": spec.verify}))


def _members_first(mixed: Mapping[str, tuple[Declared, Blend]]) -> Iterable[str]:
    """Their names in an order in which every blend comes after the blends among its members."""
    order: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for name, (_, blend) in mixed.items():
        order.add(name, *(m.adapter_ref.name for m in blend.members if m.adapter_ref.name in mixed))
    return order.static_order()


def _trained(spec: LoRAAdapterSpec, facts: AdapterFacts | Blocked, max_rank: int) -> Wanted | Blocked:
    if isinstance(facts, Blocked):
        return facts
    if facts.rank > max_rank:
        return _rank_too_large(
            f"the adapter's rank is {facts.rank}, above the model's spec.adapters.maxRank {max_rank}; "
            "raise it (this restarts the pods, one by one)"
        )
    part = Part(source=facts.source, digest=facts.digest, weight=spec.weight)
    revision = RevisionSpec.of((part,), BlendMethod.CONCAT, spec.precision)
    return Wanted(revision, facts.rank, facts.size_bytes)


def _blended(
    spec: LoRAAdapterSpec,
    blend: Blend,
    members: Mapping[str, Outcome],
    files: blends.Files,
    max_rank: int,
) -> Wanted | Blocked:
    listed: list[blends.Member] = []
    for member in blend.members:
        name = member.adapter_ref.name
        outcome = members[name]
        if not isinstance(outcome, Wanted):
            return _member_not_ready(name, outcome)
        listed.append(blends.Member(spec.weight * member.weight, outcome.spec))
    recipe = blends.blended(blend, tuple(listed), files, max_rank)
    if isinstance(recipe, Blocked):
        return recipe
    revision = RevisionSpec.of(
        recipe.parts, recipe.method, spec.precision, rank=recipe.rank, density=recipe.density, seed=recipe.seed
    )
    digests = {leaf.digest for leaf in recipe.leaves}
    size_bytes = sum(files[digest].size_bytes for digest in digests)
    return Wanted(revision, blends.rank_of(recipe, files), size_bytes)


def _member_not_ready(name: str, why: Rejected | Blocked) -> Blocked:
    if why.reason is Reason.MEMBER_NOT_READY and isinstance(why, Blocked):
        # a member that is a blend itself already names the one at fault
        return why
    return Blocked(
        AdapterCondition.FETCHED,
        Reason.MEMBER_NOT_READY,
        f"the member {name} is not ready: {why.reason}: {why.message}",
        waiting=isinstance(why, Blocked) and why.waiting,
    )


def _rank_too_large(message: str) -> Blocked:
    return Blocked(AdapterCondition.COMPATIBLE, Reason.RANK_TOO_LARGE, message)
