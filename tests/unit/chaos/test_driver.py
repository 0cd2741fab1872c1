"""Only what was killed counts as a kill."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil

from chaos.driver import Driver
from chaos.sightings import Moment
from chaos.steps import Kind, Step
from support import pod_processes

READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def test_a_step_that_finds_nothing_to_kill_is_no_kill(tmp_path: Path) -> None:
    found = iter([True, False, False])
    world: Any = SimpleNamespace(
        users=SimpleNamespace(wishes={}),
        models=SimpleNamespace(objects={"base": {"metadata": {"uid": "uid"}, "status": READY}}),
        heal=lambda: None,
        harm=lambda step: next(found),
    )
    model: Any = SimpleNamespace(
        name="base", uid="uid", replicas=0, create=lambda: None, remember_document=lambda: None
    )
    observer: Any = SimpleNamespace(moment=Moment(9e9, {}, {}, (), operating=True), confirmed=set())
    driver = Driver(world, model, observer, tmp_path / "steps.jsonl", 5.0, tell=lambda line: None)
    driver.run([Step(Kind.KILL_ENGINE), Step(Kind.KILL_ENGINE), Step(Kind.CUT)])
    assert (driver.done.total(), driver.kills) == (3, 1)


def test_a_process_that_is_gone_is_not_hit() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        there = psutil.Process(child.pid)
        assert pod_processes.kill([there]) == 1
    assert pod_processes.kill([there]) == 0
    assert pod_processes.kill([]) == 0
