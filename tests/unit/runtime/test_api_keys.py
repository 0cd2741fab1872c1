"""Which keys are accepted, while the file that holds them changes."""

from pathlib import Path

import pytest

from lora_runtime.http.api_keys import ApiKeys, needs_key
from support.mounted_secret import write_mounted


def keys_in(folder: Path, content: bytes) -> ApiKeys:
    write_mounted(folder, {"keys": content})
    return ApiKeys(folder / "keys")


@pytest.mark.parametrize("shown", ["Bearer one", "bearer one", "BEARER  one ", "Bearer two"])
def test_a_listed_key_is_admitted(tmp_path: Path, shown: str) -> None:
    assert keys_in(tmp_path, b"one\n\n  two \n").admit(shown)


@pytest.mark.parametrize(
    "shown", ["", "one", "Bearer", "Bearer ", "Bearer three", "Bearer one two", "Basic one", "Bearer ONE", "Bearer on"]
)
def test_anything_else_is_not(tmp_path: Path, shown: str) -> None:
    assert not keys_in(tmp_path, b"one\n\ntwo\n").admit(shown)


def test_a_byte_order_mark_and_the_ends_of_lines_of_another_system_are_no_part_of_a_key(tmp_path: Path) -> None:
    keys = keys_in(tmp_path, b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert keys.admit("Bearer one")
    assert keys.admit("Bearer two")


def test_a_comment_is_no_key(tmp_path: Path) -> None:
    keys = keys_in(tmp_path, b"# of ann\none\n  # of bob\ntwo#2\n")
    assert [keys.admit(f"Bearer {key}") for key in ("one", "two#2", "# of ann", "# of bob", "#")] == [
        True, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe", b"# none\n", b"\xef\xbb\xbf"])
def test_a_file_without_keys_admits_nobody(tmp_path: Path, content: bytes) -> None:
    keys = keys_in(tmp_path, content)
    assert not keys.admit("Bearer ")
    assert not keys.admit("Bearer one")


def test_keys_are_missing_while_no_file_has_any(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    keys = ApiKeys(one, other)
    assert keys.missing
    other.write_text("# none\n")
    assert keys.missing
    other.write_text("two\n")
    assert not keys.missing


def test_a_file_that_is_missing_admits_nobody_until_it_is_there(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path / "keys")
    assert not keys.admit("Bearer one")
    write_mounted(tmp_path, {"keys": b"one"})
    assert keys.admit("Bearer one")
    (tmp_path / "keys").unlink()
    assert not keys.admit("Bearer one"), "what was known is not believed without the file"


def test_a_rotation_with_both_keys_for_a_while_drops_nobody(tmp_path: Path) -> None:
    keys = keys_in(tmp_path, b"old")
    write_mounted(tmp_path, {"keys": b"old\nnew"})
    assert keys.admit("Bearer old")
    assert keys.admit("Bearer new")
    write_mounted(tmp_path, {"keys": b"new"})
    assert not keys.admit("Bearer old")
    assert keys.admit("Bearer new")


@pytest.mark.parametrize("path", ["/health", "/ping", "/ready", "/metrics", "/metrics/"])
def test_probes_and_scrapers_need_none(path: str) -> None:
    assert not needs_key("GET", path)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/completions", "/tokenize", "/version", "/load", "/metrics/x", ""])
def test_all_else_does(path: str) -> None:
    assert needs_key("GET", path)


def test_what_browsers_ask_before_they_send_a_key_needs_none() -> None:
    assert not needs_key("OPTIONS", "/v1/completions")
