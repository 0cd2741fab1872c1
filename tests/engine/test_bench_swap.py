"""The swap benchmark on a real engine, in small: what it says of times means nothing, what it says of answers does."""

from dataclasses import replace
from pathlib import Path

from bench.checking.verdicts import Verdict
from bench.served.world import Model, build
from bench.swap.part import run_part
from bench.swap.plan import NAMES, Kind
from bench.swap.results import result_of
from bench.swap.settings import EVICTING, Settings

# The names of the resident engine, on the one that evicts: every kind of change, and adapters that come and go.
PART = replace(EVICTING, names=NAMES, pairs=1, phase_seconds=8.0, swap_every_seconds=0.5)
SETTINGS = Settings(
    model=Model.TINY, max_tokens=16, seed=1, load=0.2, calibration_seconds=2.0, clients=8, parts=(PART,)
)  # fmt: skip


async def test_no_response_is_wrong_while_revisions_are_swapped_under_load(tmp_path: Path) -> None:
    world = build(tmp_path, SETTINGS.model, SETTINGS.max_tokens, lambda: None)
    run = await run_part(tmp_path, world, SETTINGS, PART, print)
    result = result_of(run, world.references, SETTINGS.seed)

    assert [f"{each.verdict}: {each.why}" for each in result.wrong] == []
    assert result.verdicts[Verdict.GOOD] > 20
    changed = result.swaps_by_kind
    assert all(changed[kind] for kind in (Kind.WEIGHT, Kind.SOURCE, Kind.BLEND)), changed
    assert changed[Kind.RECREATE] + changed[Kind.REPLACE] > 0
