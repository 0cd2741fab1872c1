from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_cluster import processes
from local_cluster.processes import Command, Owner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found through /proc")

SLEEP = ("sleep", "300")


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    owner = Owner(str(tmp_path), cgroup="no-such-cgroup")
    yield owner
    processes.end(owner)


def eventually(check: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_started_component_is_found_by_its_name(owner: Owner, tmp_path: Path) -> None:
    processes.start(Command("etcd", SLEEP), owner, tmp_path / "etcd.log")
    assert eventually(lambda: list(processes.components(processes.owned(owner))) == ["etcd"])


def test_a_component_does_not_hear_the_terminals_ctrl_c(owner: Owner, tmp_path: Path) -> None:
    processes.start(Command("etcd", SLEEP), owner, tmp_path / "etcd.log")
    assert eventually(lambda: bool(processes.components(processes.owned(owner))))
    pid = processes.components(processes.owned(owner))["etcd"]
    assert os.getsid(pid) != os.getsid(0)


def test_the_end_reaches_what_a_component_started(owner: Owner, tmp_path: Path) -> None:
    child = ("sh", "-c", "sleep 300 & echo $!; wait")
    processes.start(Command("containerd", child), owner, tmp_path / "log")
    assert eventually(lambda: (tmp_path / "log").read_text().strip() != "")
    pid = int((tmp_path / "log").read_text())

    assert processes.end(owner) >= 2

    assert eventually(lambda: not alive(pid))
    assert processes.owned(owner) == []


def test_a_process_of_another_cluster_is_left_alone(owner: Owner, tmp_path: Path) -> None:
    neighbour = Owner(owner.mark + "-two", cgroup="no-such-cgroup")
    processes.start(Command("etcd", SLEEP), neighbour, tmp_path / "etcd.log")
    try:
        assert eventually(lambda: bool(processes.owned(neighbour)))
        assert processes.end(owner) == 0
        assert processes.owned(neighbour)
    finally:
        processes.end(neighbour)


def test_a_stranger_that_took_over_a_dead_components_pid_is_not_killed(owner: Owner) -> None:
    # A pid can be a stranger's between looking and killing: so killing looks again, with the process held fast.
    with subprocess.Popen(SLEEP) as stranger:
        try:
            processes.kill_if_owned(stranger.pid, owner)
            with pytest.raises(subprocess.TimeoutExpired):
                stranger.wait(0.2)
        finally:
            stranger.kill()


def test_a_pid_that_is_nobodys_any_more_is_no_error(owner: Owner) -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    processes.kill_if_owned(ended.pid, owner)


def test_a_component_that_cannot_be_run_says_why_in_its_log(owner: Owner, tmp_path: Path) -> None:
    processes.start(Command("etcd", ("/no/such/program",)), owner, tmp_path / "etcd.log")
    assert eventually(lambda: "/no/such/program" in (tmp_path / "etcd.log").read_text())
