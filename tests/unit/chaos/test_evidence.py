"""What is left of a run: nothing of a good one, everything of one that found something."""

from pathlib import Path

import pytest

from chaos.evidence import evidence
from chaos.node.logs import Logs
from chaos.page import again

AGAIN = again("cluster", 7, 300)


def told_by_a_run(place: Path, *, good: bool, keep: Path | None = None) -> list[str]:
    told: list[str] = []
    with evidence(keep, AGAIN, told.append, place) as found:
        (found.folder / "steps.jsonl").write_text("{}", encoding="utf-8")
        found.good = good
    return told


def test_a_good_run_leaves_nothing_and_says_nothing(tmp_path: Path) -> None:
    assert told_by_a_run(tmp_path, good=True) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_asked_for_stays(tmp_path: Path) -> None:
    assert told_by_a_run(tmp_path, good=True, keep=tmp_path / "kept") == []
    assert (tmp_path / "kept" / "steps.jsonl").exists()


def test_a_run_that_found_something_says_how_to_make_it_again_and_where_its_logs_are(tmp_path: Path) -> None:
    told = " ".join(told_by_a_run(tmp_path, good=False))
    (folder,) = tmp_path.iterdir()
    assert 'make chaos ARGS="--mode cluster --seed 7 --steps 300"' in told
    assert str(folder) in told
    assert (folder / "steps.jsonl").exists()


def test_a_run_that_breaks_is_kept_and_one_that_somebody_ends_is_not(tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(OSError, match="broken"), evidence(None, AGAIN, told.append, tmp_path):
        raise OSError("broken")
    assert len(told) == 2
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(KeyboardInterrupt), evidence(None, AGAIN, told.append, tmp_path):
        raise KeyboardInterrupt
    assert len(told) == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_a_log_is_kept_whole_although_its_pod_is_gone(tmp_path: Path) -> None:
    pod, container = tmp_path / "pods" / "chaos_p0_uid", tmp_path / "pods" / "chaos_p0_uid" / "runtime"
    container.mkdir(parents=True)
    (container / "0.log").write_text("first\n", encoding="utf-8")
    logs = Logs(tmp_path / "pods", tmp_path / "kept")
    logs.look()
    with (container / "0.log").open("a", encoding="utf-8") as log:
        log.write("last\n")
    pod.rename(tmp_path / "gone")
    (tmp_path / "gone" / "runtime" / "0.log").unlink()
    logs.close()
    assert (tmp_path / "kept" / "chaos_p0_uid" / "runtime" / "0.log").read_text(encoding="utf-8") == "first\nlast\n"
