"""A pod's store is filled by what lies beside it."""

from pathlib import Path

from chaos.node import store


def test_a_store_is_filled_on_the_disk_beyond_what_the_runtime_uses_and_within_its_limit(tmp_path: Path) -> None:
    store.fill(tmp_path)
    (file,) = tmp_path.iterdir()
    assert store.LIMIT_MIB * 0.9 < file.stat().st_blocks * 512 / (1 << 20) < store.LIMIT_MIB
    store.empty(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_store_of_a_pod_that_is_gone_is_left_alone(tmp_path: Path) -> None:
    store.fill(tmp_path / "gone")
    store.empty(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []
