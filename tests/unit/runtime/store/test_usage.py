from pathlib import Path

from lora_runtime.store.usage import store_bytes

MIB = 1 << 20


def test_files_are_added_up_by_what_they_are(tmp_path: Path) -> None:
    for name, mib in (("sha256/ab/x", 3), ("sha256/cd/y", 2), ("versions/v/x", 1), ("scratch/z", 9), ("other", 9)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * mib * MIB)
    found = store_bytes(tmp_path)
    # whole MiB: a disk rounds what a file takes, and a folder takes something itself
    assert {kind: size // MIB for kind, size in found.items()} == {"content": 5, "versions": 1, "incoming": 0}
    assert found["incoming"] == 0, "a folder that is not there yet holds nothing"
