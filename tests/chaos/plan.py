"""From a seed to the steps of a run. Pure: the same seed gives the same steps, whatever becomes of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random

from chaos.steps import POD_FAULTS, Kind, Step
from chaos.wishes import Flaw, Wish

_WEIGHTS = (0.25, 0.5, 0.75, 1.0, 1.5)
_PAUSES = {0.0: 70, 0.05: 20, 0.6: 6, 2.5: 4}
"""How often how many seconds: much happens at once, and now and then there is time to say something true amid faults."""
_ATTACKS = frozenset({Kind.DELETE_DOCUMENT, Kind.RESTORE_DOCUMENT})
_STARTS = frozenset({Kind.KILL_OPERATOR, Kind.KILL_API_SERVER})
"""What does not happen between the same two quiet points as an attack on the document: an operator that starts while the
document is gone or old cannot know what was served under a wish that is refused now, as ADR 15 says."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to play with, and how often what happens."""

    trained: tuple[str, ...]
    blends: tuple[str, ...]
    sources: int
    """Each trained adapter has so many places to take its files from."""
    replicas: tuple[int, ...]
    ranks: tuple[int, ...]
    """Values of the model's largest rank that all adapters fit into."""
    odds: Mapping[Kind, float]
    quiet_every: int
    shortest_seconds: float
    longest_seconds: float
    """Bounds of how long a fault lasts."""
    certain: tuple[Step, ...] = ()
    """What chance leaves out of many a short run: one of these between any two rests, in turn."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """All that may happen."""
        return frozenset(self.odds) | {step.kind for step in self.certain}


def plan(scene: Scene, seed: int, count: int) -> Iterator[Step]:
    """So many steps; everything comes to rest after some of them, and after the last."""
    random, places = Random(seed), Random(f"places {seed}")
    wishes: dict[str, Wish] = {}
    excluded: frozenset[Kind] = frozenset()
    due, certain = 0, None
    kinds, odds = list(scene.odds), list(scene.odds.values())
    for number in range(1, count + 1):
        if scene.certain and number % scene.quiet_every == 1:
            due = number + places.randrange(scene.quiet_every)
            certain = scene.certain[number // scene.quiet_every % len(scene.certain)]
            excluded = _foes(certain.kind)
        if certain is not None and number == due:
            step = certain
        else:
            kind = random.choices(kinds, odds)[0]
            while kind in excluded:
                kind = random.choices(kinds, odds)[0]
            excluded |= _foes(kind)
            step = _step(kind, wishes, scene, random)
        if step.wish is not None:
            wishes[step.name] = step.wish
        elif step.kind is Kind.DELETE:
            wishes.pop(step.name, None)
        quiet = number % scene.quiet_every == 0 or number == count
        excluded = frozenset() if quiet else excluded
        yield replace(step, pause_seconds=random.choices(list(_PAUSES), list(_PAUSES.values()))[0], quiet=quiet)


def _foes(kind: Kind) -> frozenset[Kind]:
    """What must not happen before the next rest."""
    return _STARTS if kind in _ATTACKS else _ATTACKS if kind in _STARTS else frozenset()


def _step(kind: Kind, wishes: Mapping[str, Wish], scene: Scene, random: Random) -> Step:
    if kind in POD_FAULTS:
        seconds = round(random.uniform(scene.shortest_seconds, scene.longest_seconds), 2)
        return Step(kind, pod=random.randrange(max(scene.replicas)), seconds=seconds)
    match kind:
        case Kind.PAUSE_OPERATOR:
            return Step(kind, seconds=round(random.uniform(scene.shortest_seconds, scene.longest_seconds), 2))
        case Kind.SCALE:
            return Step(kind, number=random.choice(scene.replicas))
        case Kind.ROLL:
            return Step(kind, number=random.choice(scene.ranks))
        case (
            Kind.KILL_OPERATOR
            | Kind.KILL_API_SERVER
            | Kind.RECREATE_MODEL
            | Kind.DELETE_DOCUMENT
            | Kind.RESTORE_DOCUMENT
        ):
            return Step(kind)
        case _:
            return _edit(kind, wishes, scene, random)


def _edit(kind: Kind, wishes: Mapping[str, Wish], scene: Scene, random: Random) -> Step:
    trained = [name for name in scene.trained if name in wishes]
    names = sorted(wishes)
    if kind is Kind.CREATE or not trained:
        absent = [name for name in (*scene.trained, *scene.blends) if name not in wishes]
        if absent:
            name = random.choice(absent)
            return Step(Kind.CREATE, name, _fresh(name, scene, random))
        kind = Kind.WEIGHT
    blends = [name for name in names if wishes[name].members]
    if kind is Kind.MEMBERS and not blends:
        kind = Kind.WEIGHT
    match kind:
        case Kind.WEIGHT:
            name = random.choice(names)
            weight = random.choice([each for each in _WEIGHTS if each != wishes[name].weight])
            return Step(kind, name, replace(wishes[name], weight=weight))
        case Kind.MEMBERS:
            name = random.choice(blends)
            return Step(kind, name, replace(wishes[name], members=_members(scene, random)))
        case Kind.SOURCE:
            name = random.choice(trained)
            return Step(kind, name, replace(wishes[name], source=_source(name, scene, random), flaw=None))
        case Kind.MISSING_SOURCE:
            name = random.choice(trained)
            return Step(kind, name, replace(wishes[name], flaw=Flaw.MISSING))
        case Kind.WRONG_DIGEST:
            name = random.choice(trained)
            wish = replace(wishes[name], source=_source(name, scene, random), flaw=Flaw.DIGEST)
            return Step(kind, name, wish)
        case Kind.RECREATE:
            name = random.choice(names)
            return Step(kind, name, _fresh(name, scene, random))
        case _:
            return Step(Kind.DELETE, random.choice(names))


def _fresh(name: str, scene: Scene, random: Random) -> Wish:
    weight, strategy = random.choice(_WEIGHTS), random.choice(("Together", "Together", "Rolling"))
    if name in scene.blends:
        return Wish(weight=weight, members=_members(scene, random), strategy=strategy)
    return Wish(_source(name, scene, random), weight, strategy=strategy)


def _source(name: str, scene: Scene, random: Random) -> str:
    return f"{name}-s{random.randrange(scene.sources)}"


def _members(scene: Scene, random: Random) -> tuple[tuple[str, float], ...]:
    chosen = sorted(random.sample(scene.trained, 2))
    return tuple((name, random.choice((0.5, 1.0))) for name in chosen)
