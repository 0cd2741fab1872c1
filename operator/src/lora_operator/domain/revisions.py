"""The revision each adapter should be served as: its recipe, down to trained parts and their weights."""

import graphlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from lora_api.runtime_api import AdapterFacts, Part, RevisionSpec
from lora_api.v1alpha1.adapter import Blend, BlendMethod, LoRAAdapterSpec
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_operator.domain import recipes
from lora_operator.domain.observed import ObservedAdapter
from lora_operator.domain.outcome import Blocked, Outcome, Rejected, Wanted

Known = Mapping[str, AdapterFacts | Blocked]
"""By UID: the facts of every accepted adapter that has a source."""


def outcomes(
    adapters: tuple[ObservedAdapter, ...], rejected: Mapping[str, Rejected], known: Known, max_rank: int
) -> Mapping[str, Outcome]:
    """What to serve for each adapter, or why not, by UID.

    Assumes that blends with missing members, and those in a cycle, are among the rejected.
    """
    by_name = {adapter.meta.name: adapter for adapter in adapters}
    files = {facts.digest: facts for facts in known.values() if isinstance(facts, AdapterFacts)}
    found: dict[str, Outcome] = {}
    for name in _members_first(adapters, rejected):
        adapter = by_name[name]
        uid, blend = adapter.meta.uid, adapter.spec.blend
        if uid in rejected:
            found[uid] = rejected[uid]
        elif blend is not None:
            members = {m.adapter_ref.name: found[by_name[m.adapter_ref.name].meta.uid] for m in blend.members}
            found[uid] = _checked(adapter.spec, _blended(adapter.spec, blend, members, files, max_rank))
        else:
            found[uid] = _checked(adapter.spec, _trained(adapter.spec, known[uid], max_rank))
    return found


def _checked(spec: LoRAAdapterSpec, outcome: Wanted | Blocked) -> Wanted | Blocked:
    """The same, with what it must answer: an adapter's own matter, which its members' do not add to."""
    if isinstance(outcome, Blocked) or spec.verify is None:
        return outcome
    return replace(outcome, spec=outcome.spec.model_copy(update={"verify": spec.verify}))


def _members_first(adapters: tuple[ObservedAdapter, ...], rejected: Mapping[str, Rejected]) -> Iterable[str]:
    """Names in an order in which every accepted blend comes after its members."""
    order: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for adapter in adapters:
        blend = None if adapter.meta.uid in rejected else adapter.spec.blend
        order.add(adapter.meta.name, *(() if blend is None else (m.adapter_ref.name for m in blend.members)))
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
    files: recipes.Files,
    max_rank: int,
) -> Wanted | Blocked:
    listed: list[recipes.Member] = []
    for member in blend.members:
        name = member.adapter_ref.name
        outcome = members[name]
        if not isinstance(outcome, Wanted):
            return _member_not_ready(name, outcome)
        listed.append(recipes.Member(spec.weight * member.weight, outcome.spec))
    recipe = recipes.blended(blend, tuple(listed), files, max_rank)
    if isinstance(recipe, Blocked):
        return recipe
    revision = RevisionSpec.of(
        recipe.parts, recipe.method, spec.precision, rank=recipe.rank, density=recipe.density, seed=recipe.seed
    )
    digests = {leaf.digest for leaf in recipe.leaves}
    size_bytes = sum(files[digest].size_bytes for digest in digests)
    return Wanted(revision, recipes.rank_of(recipe, files), size_bytes)


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
