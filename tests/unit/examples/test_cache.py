"""A cached artefact is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_examples.cache import make_once


def write_one_file(folder: Path) -> None:
    (folder / "weights").write_text("whole")
    (folder / "weights").chmod(0o600)


def break_half_way(folder: Path) -> None:
    (folder / "weights").write_text("hal")
    message = "the disk is full"
    raise OSError(message)


def test_a_made_artefact_is_not_made_again(tmp_path: Path) -> None:
    target = make_once(tmp_path / "models" / "tiny", write_one_file)
    assert make_once(target, break_half_way) == target


def test_a_build_that_breaks_half_way_leaves_nothing_and_the_next_one_heals_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the disk is full"):
        make_once(tmp_path / "tiny", break_half_way)
    assert list(tmp_path.iterdir()) == []

    assert (make_once(tmp_path / "tiny", write_one_file) / "weights").read_text() == "whole"


def test_of_two_builds_at_once_the_first_to_finish_wins_and_both_get_it(tmp_path: Path) -> None:
    def lose_the_race(folder: Path) -> None:
        make_once(tmp_path / "tiny", write_one_file)
        (folder / "weights").write_text("late")

    assert (make_once(tmp_path / "tiny", lose_the_race) / "weights").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_every_user_may_read_an_artefact_because_pods_do_not_run_as_its_owner(tmp_path: Path) -> None:
    target = make_once(tmp_path / "tiny", write_one_file)
    assert target.stat().st_mode & 0o777 == 0o755
    assert (target / "weights").stat().st_mode & 0o777 == 0o644
