"""What is read from and made on the machine: mounts, cgroups, locks, records."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from local_cluster import cgroups, mounts, records
from local_cluster.layout import Mode, Record
from local_cluster.locking import exclusive

MOUNTINFO = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
60 22 0:30 / /state/demo/kubelet/pods/a/volumes/memory rw - tmpfs tmpfs rw
61 22 254:0 /elsewhere /state/demo/kubelet/pods/a/volumes/memory/sub\040path rw - ext4 /dev/vda rw
62 22 0:31 / /state/demonstration/x rw - tmpfs tmpfs rw
63 22 0:32 / /state/demo rw - tmpfs tmpfs rw
"""


def test_mounts_below_a_folder_are_found_the_deepest_first() -> None:
    assert mounts.mount_points(MOUNTINFO, [Path("/state/demo")]) == [
        Path("/state/demo/kubelet/pods/a/volumes/memory/sub path"),
        Path("/state/demo/kubelet/pods/a/volumes/memory"),
        Path("/state/demo"),
    ]


def test_a_cgroup_is_made_in_every_v1_hierarchy_with_its_cpuset_filled_in(tmp_path: Path) -> None:
    for hierarchy in ("cpuset", "memory", "systemd"):
        (tmp_path / hierarchy / "lora-demo").mkdir(parents=True)
    for setting, value in (("cpuset.cpus", "0-1"), ("cpuset.mems", "0")):
        (tmp_path / "cpuset" / setting).write_text(value)
        (tmp_path / "cpuset" / "lora-demo" / setting).write_text("")

    cgroups.create("lora-demo", tmp_path)

    assert (tmp_path / "cpuset" / "lora-demo" / "cpuset.cpus").read_text() == "0-1"
    assert (tmp_path / "cpuset" / "lora-demo" / "cpuset.mems").read_text() == "0"


@pytest.mark.parametrize(("setting", "of_a_core"), [("cpu.shares", 1024), ("cpu.weight", 100)])
def test_pods_together_weigh_as_much_as_the_cores_that_they_may_use(
    tmp_path: Path, setting: str, of_a_core: int
) -> None:
    weight = tmp_path / "cpu" / "lora-demo" / setting
    weight.parent.mkdir(parents=True)
    weight.write_text(str(of_a_core))

    cgroups.create("lora-demo", tmp_path)

    assert int(weight.read_text()) == of_a_core * (os.cpu_count() or 1)


def test_on_cgroup_v2_the_controllers_are_handed_down(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    (tmp_path / "cgroup.procs").write_text("1")
    cgroups.create("lora-demo", tmp_path)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert cgroups.exists("lora-demo", tmp_path)


def test_a_cgroups_members_are_those_of_every_level(tmp_path: Path) -> None:
    pod = tmp_path / "pids" / "lora-demo" / "kubepods" / "pod1"
    pod.mkdir(parents=True)
    (pod / "cgroup.procs").write_text("41\n42\n")
    (tmp_path / "pids" / "lora-demo" / "cgroup.procs").write_text("40\n")
    assert cgroups.members("lora-demo", tmp_path) == {40, 41, 42}


def test_an_empty_cgroup_is_removed_with_all_below_it(tmp_path: Path) -> None:
    (tmp_path / "pids" / "lora-demo" / "kubepods" / "pod1").mkdir(parents=True)
    cgroups.remove("lora-demo", tmp_path)
    assert not cgroups.exists("lora-demo", tmp_path)
    assert (tmp_path / "pids").exists()


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = Record(name="demo", mode=Mode.NODE, state=tmp_path, index=4)
    records.write(tmp_path, record)
    assert records.read(tmp_path, "demo") == record
    assert records.read_all(tmp_path) == [record]


@pytest.mark.parametrize("text", ["", '{"name": "demo"', "{}"])
def test_a_torn_record_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "cluster.json").write_text(text)
    assert records.read(tmp_path, "demo") is None
    assert records.read_all(tmp_path) == []


def test_only_one_process_holds_a_lock_and_none_is_lost(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count_up, args=(tmp_path,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert counter.read_text() == "300"
    assert not (tmp_path / "lock").exists()


def _count_up(folder: Path) -> None:
    for _ in range(100):
        with exclusive(folder / "lock"):
            count = int((folder / "counter").read_text())
            (folder / "counter").write_text(str(count + 1))
