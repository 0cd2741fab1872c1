"""What requests compose is made once, reused, bounded, and given up; and it is the sum that they asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine

import pytest
from pydantic import ValidationError

from lora_api.runtime_api import BlendedPart, Part, RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.model import Composition
from lora_runtime.adapter_loop import EngineTurn
from lora_runtime.adapters.errors import incompatible, not_fetched
from lora_runtime.composing import NotComposed, Problem, Wish, hidden_name, recipe_of
from lora_runtime.compositions import Compositions
from lora_runtime.engine.fake import FakeEngine
from lora_runtime.observer import Composed, Nobody
from lora_runtime.store.versions import Published
from lora_runtime.workshop import Progress
from support.stand_in import EverySourceExists


def a_part(name: str, weight: float = 1.0) -> Part:
    source = AdapterSource(volume=VolumeSource(name="shared", path=name))
    return Part(source=source, digest=f"sha256:{name[0] * 64}", weight=weight)


def concat(*parts: Part, precision: Precision = Precision.AUTO) -> RevisionSpec:
    return RevisionSpec.of(parts, BlendMethod.CONCAT, precision)


SERVED = {
    "a": concat(a_part("a", 0.5), precision=Precision.BFLOAT16),
    "b": concat(a_part("b"), a_part("c", -1.0)),
    "d": RevisionSpec.of((a_part("d"), a_part("e")), BlendMethod.SVD, Precision.AUTO, rank=4),
}


def wish(**said: object) -> Wish:
    return Wish.model_validate(said)


def weights(spec: RevisionSpec) -> list[tuple[str, float]]:
    return [(leaf.digest[7], leaf.weight) for leaf in spec.leaves]


def test_a_weight_multiplies_what_is_served_and_keeps_its_precision() -> None:
    spec = recipe_of(wish(weight=0.5), "a", SERVED.get)
    assert (weights(spec), spec.precision) == ([("a", 0.25)], Precision.BFLOAT16)


def test_a_blend_is_the_sum_of_what_its_members_serve() -> None:
    said = [{"name": "a", "weight": 2}, {"name": "b", "weight": -0.5}]
    spec = recipe_of(wish(blend=said), "base", SERVED.get)
    assert (weights(spec), spec.method, spec.precision) == (
        [("a", 1.0), ("b", -0.5), ("c", 0.5)], BlendMethod.CONCAT, Precision.AUTO,
    )  # fmt: skip


def test_what_a_method_computed_is_scaled_as_a_whole() -> None:
    (part,) = recipe_of(wish(weight=0.5), "d", SERVED.get).parts
    assert isinstance(part, BlendedPart)
    assert (part.weight, part.recipe.method, part.recipe.rank) == (0.5, BlendMethod.SVD, 4)


def test_other_bytes_have_another_hidden_name_and_the_same_the_same() -> None:
    half, third = (recipe_of(wish(weight=w), "a", SERVED.get) for w in (0.5, 0.3))
    again = recipe_of(wish(blend=[{"name": "a", "weight": 0.5}]), "a", SERVED.get)
    assert hidden_name("a", half) == hidden_name("a", again) != hidden_name("a", third)
    assert hidden_name("a", half).startswith("a:")


def test_the_same_values_rounded_otherwise_are_other_bytes() -> None:
    plain, rounded = (concat(a_part("a"), precision=p) for p in (Precision.AUTO, Precision.FLOAT16))
    assert hidden_name("a", plain) != hidden_name("a", rounded)


@pytest.mark.parametrize(
    "said",
    [
        {}, {"weight": 11}, {"weight": "0.5"}, {"weight": True}, {"weight": float("nan")}, {"blend": []}, {"blend": "a"},
        {"weight": 1, "blend": [{"name": "a"}]}, {"blend": [{"name": "a:b"}]}, {"blend": [{"name": "a"}] * 9},
        {"blend": [{"name": "a", "wieght": 1}]}, {"scale": 1},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_wish_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Wish.model_validate(said)


class Counts(Nobody):
    def __init__(self) -> None:
        self.outcomes: list[Composed] = []
        self.kept = 0

    def composed(self, outcome: Composed, kept: int) -> None:
        self.outcomes.append(outcome)
        self.kept = kept


class Refuses(EverySourceExists):
    """A workshop that makes nothing."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def make(self, spec: RevisionSpec, progress: Progress) -> Published:
        raise self._error


class Pod:
    """Compositions with a fake engine; time stands still unless it is told to go on."""

    def __init__(self, limits: Composition | None, workshop: EverySourceExists | None = None) -> None:
        self.now, self.engine, self.counts = 0.0, FakeEngine(), Counts()
        self.served = dict(SERVED)
        turn = EngineTurn()
        turn.engine.set_result(self.engine)
        self.tasks: set[asyncio.Task[None]] = set()
        self.compositions = Compositions(
            limits, workshop or EverySourceExists(), turn, lambda: self.now, self.counts, self.served.get, self._spawn
        )

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self.tasks.add(asyncio.create_task(work))

    async def weight(self, weight: float) -> str:
        return await self.compositions.serve("a", wish(weight=weight))

    async def refused(self, weight: float) -> NotComposed:
        with pytest.raises(NotComposed) as caught:
            await self.weight(weight)
        return caught.value

    async def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not holds():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)


async def test_nothing_is_composed_unless_it_is_allowed() -> None:
    assert (await Pod(None).refused(0.5)).problem is Problem.OFF


async def test_a_composition_is_made_once_and_reused() -> None:
    pod = Pod(Composition())
    names = await asyncio.gather(*(pod.weight(0.5) for _ in range(5)))
    assert set(names) == set(pod.engine.published)
    assert [line.partition(" ")[0] for line in pod.engine.log] == ["load", "publish"]
    assert await pod.weight(0.5) == names[0]
    assert sorted(pod.counts.outcomes) == [Composed.MADE, *[Composed.REUSED] * 5]


async def test_the_one_that_was_not_asked_for_the_longest_goes_first() -> None:
    pod = Pod(Composition(max_kept=2))
    first, second = await pod.weight(0.1), await pod.weight(0.2)
    await pod.weight(0.1)
    third = await pod.weight(0.3)
    await pod.until(lambda: set(pod.engine.published) == {first, third} and len(pod.engine.loaded) == 2)
    assert pod.counts.kept == 2
    assert {spec.revision for spec in pod.compositions.specs} == {
        recipe_of(wish(weight=w), "a", SERVED.get).revision for w in (0.1, 0.3)
    }
    assert await pod.weight(0.2) == second, "it comes back when it is asked for"


async def test_one_that_requests_still_use_ends_with_them_and_may_come_back_meanwhile() -> None:
    pod = Pod(Composition(max_kept=1))
    name = await pod.weight(0.1)
    (engine_name,) = pod.engine.loaded
    pod.engine.busy[engine_name] = asyncio.Event()
    await pod.weight(0.2)
    assert engine_name in pod.engine.loaded
    assert await pod.weight(0.1) == name
    pod.engine.busy[engine_name].set()
    await pod.until(lambda: engine_name not in pod.engine.loaded)
    assert name in pod.engine.published


@pytest.mark.parametrize("becomes", [concat(a_part("a", 0.9)), None], ids=["another revision", "nothing"])
async def test_what_is_made_of_a_member_goes_when_the_member_changes(becomes: RevisionSpec | None) -> None:
    pod = Pod(Composition())
    name = await pod.weight(0.5)
    pod.compositions.review()
    assert name in pod.engine.published
    pod.served.pop("a")
    pod.served |= {} if becomes is None else {"a": becomes}
    pod.compositions.review()
    await pod.until(lambda: not pod.engine.loaded)
    if becomes is not None:
        assert await pod.weight(0.5) != name


async def test_a_request_that_waits_is_told_when_a_member_changes() -> None:
    pod = Pod(Composition())
    pod.engine.gate.clear()
    making = asyncio.create_task(pod.weight(0.5))
    await pod.until(lambda: bool(pod.tasks))
    pod.served.clear()
    pod.compositions.review()
    with pytest.raises(NotComposed, match="has changed meanwhile; ask again"):
        await making
    pod.engine.gate.set()


async def test_those_that_are_being_made_are_not_given_up_for_others() -> None:
    pod = Pod(Composition(max_kept=1))
    pod.engine.gate.clear()
    making = asyncio.create_task(pod.weight(0.1))
    await pod.until(lambda: bool(pod.tasks))
    assert (await pod.refused(0.2)).problem is Problem.NOT_NOW
    pod.engine.gate.set()
    await making
    await pod.weight(0.2)


async def test_new_ones_have_a_quota_and_known_ones_are_free() -> None:
    pod = Pod(Composition(per_minute=2))
    await pod.weight(0.1)
    pod.now = 30.0
    await pod.weight(0.2)
    pod.now = 59.0
    error = await pod.refused(0.3)
    assert (error.problem, "perMinute" in str(error)) == (Problem.QUOTA, True)
    await pod.weight(0.1)
    pod.now = 60.0
    await pod.weight(0.3)
    assert pod.counts.outcomes.count(Composed.LIMITED) == 1


async def test_a_sum_in_another_order_is_the_same_one() -> None:
    pod = Pod(Composition())
    members = [{"name": "a", "weight": 0.5}, {"name": "b", "weight": 2}, {"name": "d", "weight": 1}]
    names = [await pod.compositions.serve("base", wish(blend=said)) for said in (members, members[::-1])]
    assert names[0] == names[1]
    assert pod.counts.outcomes == [Composed.MADE, Composed.REUSED]


async def test_who_finds_no_room_is_not_charged_for_it() -> None:
    pod = Pod(Composition(max_kept=1, per_minute=2))
    pod.engine.gate.clear()
    making = asyncio.create_task(pod.weight(0.1))
    await pod.until(lambda: bool(pod.tasks))
    assert (await pod.refused(0.2)).problem is Problem.NOT_NOW
    pod.engine.gate.set()
    await making
    await pod.weight(0.2)


async def test_those_that_requests_still_use_are_bounded_too() -> None:
    pod = Pod(Composition(max_kept=1))
    await pod.weight(0.1)
    held = asyncio.Event()
    pod.engine.busy |= dict.fromkeys(pod.engine.loaded, held)
    second = await pod.weight(0.2)
    pod.engine.busy |= dict.fromkeys(pod.engine.loaded, held)
    error = await pod.refused(0.3)
    assert (error.problem, "maxKept" in str(error)) == (Problem.NOT_NOW, True)
    assert second in pod.engine.published, "nothing is given up for one that is refused"
    held.set()
    await pod.until(lambda: len(pod.engine.loaded) == 1)
    await pod.weight(0.3)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (incompatible(Reason.RANK_TOO_LARGE, "the blend has rank 80"), Problem.REFUSED),
        (not_fetched(Reason.STORE_FULL, "there is no room", retryable=True), Problem.NOT_NOW),
    ],
)
async def test_what_cannot_be_made_is_said_and_leaves_nothing(error: Exception, problem: Problem) -> None:
    pod = Pod(Composition(), Refuses(error))
    found = await pod.refused(0.5)
    assert (found.problem, str(found)) == (problem, str(error))
    await pod.until(lambda: all(task.done() for task in pod.tasks))
    assert pod.compositions.specs == ()
    assert pod.engine.loaded == {}


async def test_a_member_that_goes_is_no_member() -> None:
    with pytest.raises(NotComposed, match="no adapter is served under the name `nobody` now") as caught:
        await Pod(Composition()).compositions.serve("base", wish(blend=[{"name": "nobody"}]))
    assert caught.value.problem is Problem.NOT_SERVED
