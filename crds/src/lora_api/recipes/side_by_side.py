"""Whether the LoRAAdapters of one model make sense beside each other: names, members, blends in circles."""

import graphlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from lora_api.recipes.declared import Declared
from lora_api.recipes.outcome import Rejected
from lora_api.v1alpha1.adapter import LoRAAdapterSpec
from lora_api.v1alpha1.conditions import Reason

Members = Mapping[str, tuple[str, ...]]
"""The names of the members of each adapter; none for one that is no blend."""


def rejections(
    oldest_first: Sequence[Declared], base: str, alone: Callable[[LoRAAdapterSpec], Rejected | None]
) -> Mapping[str, Rejected]:
    """The adapters that are not accepted, by UID.

    Args:
        oldest_first: all adapters of the model. Of two that claim a name, the earlier has it.
        base: what clients call the base model.
        alone: what is wrong with an adapter by itself.
    """
    owners: dict[str, Declared] = {}
    for adapter in oldest_first:
        owners.setdefault(adapter.served_name, adapter)
    members = {adapter.name: _members(adapter) for adapter in oldest_first}
    cyclic = _has_cycle(members)
    found = {}
    for adapter in oldest_first:
        rejected = (
            _name_conflict(adapter, base, owners[adapter.served_name])
            or alone(adapter.spec)
            or _member_rejection(adapter, members)
            or (_cycle_rejection(adapter, members) if cyclic else None)
        )
        if rejected is not None:
            found[adapter.uid] = rejected
    return found


def _name_conflict(adapter: Declared, base: str, owner: Declared) -> Rejected | None:
    name = adapter.served_name
    if name == base:
        return Rejected(
            Reason.NAME_CONFLICT,
            f"the served name {name!r} is that of the base model itself; set another spec.servedName",
        )
    if owner.uid != adapter.uid:
        return Rejected(
            Reason.NAME_CONFLICT,
            f"the served name {name!r} belongs to the older LoRAAdapter {owner.name}; "
            "set another spec.servedName, or delete that one",
        )
    return None


def _members(adapter: Declared) -> tuple[str, ...]:
    blend = adapter.spec.blend
    return () if blend is None else tuple(member.adapter_ref.name for member in blend.members)


def _member_rejection(adapter: Declared, members: Members) -> Rejected | None:
    missing = [name for name in members[adapter.name] if name not in members]
    if not missing:
        return None
    return Rejected(
        Reason.MEMBER_NOT_FOUND,
        f"the model {adapter.spec.model_ref.name} has no LoRAAdapter {', '.join(missing)}; "
        "create it with this modelRef, or take it out of spec.blend.members",
    )


def _cycle_rejection(adapter: Declared, members: Members) -> Rejected | None:
    cycle = _cycle_through(adapter.name, members)
    if cycle is None:
        return None
    return Rejected(
        Reason.BLEND_CYCLE, f"the blend contains itself: {' -> '.join(cycle)}; take one of these members out"
    )


def _has_cycle(members: Members) -> bool:
    """One cheap walk for all, so that the path is searched only where there is one."""
    try:
        graphlib.TopologicalSorter({name: its for name, its in members.items() if its}).prepare()
    except graphlib.CycleError:
        return True
    return False


def _cycle_through(start: str, members: Members) -> tuple[str, ...] | None:
    """The shortest path from `start` back to itself; None when there is none."""
    came_from: dict[str, str] = {}
    open_ends = deque([start])
    while open_ends:
        name = open_ends.popleft()
        for member in members.get(name, ()):
            if member == start:
                return (*_path_to(name, start, came_from), start)
            if member not in came_from:
                came_from[member] = name
                open_ends.append(member)
    return None


def _path_to(name: str, start: str, came_from: Mapping[str, str]) -> tuple[str, ...]:
    path = [name]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return tuple(reversed(path))
