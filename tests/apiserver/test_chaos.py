"""A short run of the chaos, so that it lives: `make chaos` runs thousands of steps."""

from pathlib import Path

import pytest

from chaos.stand_ins.run import play_stand_ins
from local_cluster import Cluster

pytestmark = [pytest.mark.apiserver, pytest.mark.slow]

SEED, STEPS = 1, 300


def test_under_chaos_no_status_lies_and_nothing_wanted_is_lost(api_server: Cluster, tmp_path: Path) -> None:
    said: list[str] = []
    result = play_stand_ins(api_server, tmp_path, SEED, STEPS, said.append)
    assert result.is_good, "\n".join(said[-50:])
    assert result.steps == STEPS
    assert result.kills > 0
