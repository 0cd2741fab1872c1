from pathlib import Path

from lora_runtime.store.usage import store_bytes


def test_files_are_added_up_by_what_they_are(tmp_path: Path) -> None:
    for name, size in (("sha256/ab/x", 10), ("sha256/cd/y", 5), ("versions/v/x", 7), ("scratch/z", 99), ("other", 1)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    link = tmp_path / "versions" / "link"
    link.symlink_to(tmp_path / "sha256")
    found = store_bytes(tmp_path)
    assert found["content"] == 15
    assert found["versions"] == 7 + link.lstat().st_size, "a link is not what it points to"
    assert found["incoming"] == 0, "a folder that is not there yet holds nothing"
