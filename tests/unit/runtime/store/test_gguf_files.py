"""Which GGUF file of a source is taken, wherever it lies, and that its name there does not matter."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.layout import GGUF_FILE
from lora_runtime.store.content import ContentStore
from lora_runtime.store.digest import digest_of
from lora_runtime.store.sources.volume import VolumeFiles
from support.hub import Hub, Repo
from support.stores import a_source, open_at, refused
from support.web_server import running_web_server
from unit.runtime.store.sources import REPO, from_hub, from_volume, put

CONTENT, OTHER = b"GGUF of a pirate" * 4096, b"GGUF of somebody else"
"""Stores do not look inside."""


@pytest.fixture
def expected(tmp_path: Path) -> str:
    """The digest of the file as the store has it."""
    return digest_of(with_files(tmp_path / "as-stored", **{GGUF_FILE: CONTENT}))


def with_files(folder: Path, **files: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


async def test_the_only_one_of_a_folder_is_taken(store: ContentStore, volumes: Path, expected: str) -> None:
    with_files(volumes / "shared" / "team", **{"pirate-f16.gguf": CONTENT, "README.md": b"", "imatrix.dat": b""})
    found = await store.resolve(from_volume("team"))
    assert (found.digest, found.size_bytes) == (expected, len(CONTENT))
    assert [file.name for file in found.folder.iterdir()] == [GGUF_FILE]


async def test_of_several_none_is_taken_unless_the_path_names_it(
    store: ContentStore, volumes: Path, expected: str
) -> None:
    with_files(volumes / "shared" / "team", **{"pirate.gguf": CONTENT, "formal.gguf": OTHER})
    refusal = await refused(store, from_volume("team"))
    assert refusal.reason is Reason.SOURCE_NOT_FOUND
    assert "folder team of volume shared has several GGUF files: formal.gguf, pirate.gguf;" in refusal.message
    assert (await store.resolve(from_volume("team/pirate.gguf"))).digest == expected

    refusal = await refused(store, from_volume("team/polite.gguf"))
    assert "folder team of volume shared has no polite.gguf; it has: formal.gguf, pirate.gguf" in refusal.message


async def test_a_file_in_the_root_of_a_volume_can_be_named(store: ContentStore, volumes: Path, expected: str) -> None:
    with_files(volumes / "shared", **{"pirate.gguf": CONTENT})
    assert (await store.resolve(from_volume("pirate.gguf"))).digest == expected


async def test_pefts_files_come_first_unless_the_path_names_the_other(
    store: ContentStore, volumes: Path, pirate: Path, expected: str
) -> None:
    with_files(put(volumes, pirate), **{"pirate.gguf": CONTENT})
    assert (await store.resolve(from_volume())).digest == digest_of(pirate)
    assert (await store.resolve(from_volume("pirate/pirate.gguf"))).digest == expected


async def test_a_link_of_that_name_does_not_lead_out_of_the_volume(store: ContentStore, volumes: Path) -> None:
    outside = with_files(volumes.parent / "outside", **{"pirate.gguf": CONTENT})
    (volumes / "shared" / "pirate.gguf").symlink_to(outside / "pirate.gguf")
    assert (await refused(store, from_volume("pirate.gguf"))).reason is Reason.SOURCE_FORBIDDEN


async def test_what_a_cut_copy_of_other_files_left_is_not_in_the_way(
    volumes: Path, expected: str, tmp_path: Path
) -> None:
    with_files(volumes / "shared" / "team", **{"pirate.gguf": CONTENT})
    left = with_files(tmp_path / "left", **{"adapter_config.json": b"{}", "adapter_model.safetensors": OTHER})
    await VolumeFiles(volumes, max_bytes=1 << 20).fetch(from_volume("team"), left, lambda *_: None)
    assert [file.name for file in left.iterdir()] == [GGUF_FILE]
    assert digest_of(left) == expected


@pytest.mark.parametrize("subfolder", [None, "q8", "q8/pirate.gguf", "pirate-f32.gguf"])
async def test_a_repository_of_the_hub(
    store: ContentStore, hub: Hub, tmp_path: Path, expected: str, subfolder: str | None
) -> None:
    hub.repos[REPO] = Repo()
    name = "pirate.gguf" if subfolder and subfolder.startswith("q8") else "pirate-f32.gguf"
    inside = "q8" if subfolder and subfolder.startswith("q8") else ""
    hub.repos[REPO].commit(with_files(tmp_path / "repo", **{name: CONTENT, "README.md": b""}), subfolder=inside)
    assert (await store.resolve(from_hub(subfolder=subfolder))).digest == expected


async def test_a_web_server_is_asked_for_the_file_that_the_url_names(tmp_path: Path, expected: str) -> None:
    store, sha256 = open_at(tmp_path), hashlib.sha256(CONTENT).hexdigest()
    with running_web_server() as web:
        url = web.put(with_files(tmp_path / "files", **{"pirate.gguf": CONTENT})) + "/pirate.gguf"
        found = await store.resolve(a_source("http", url=url, sha256=sha256))
        assert found.digest == expected
        assert found.source.http is not None
        assert found.source.http.etags is not None
        assert found.source.http.etags.config is None

        refusal = await refused(store, a_source("http", url=url.replace("pirate.gguf", "formal.gguf")))
        assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_NOT_FOUND, True)
        assert "/pirate/formal.gguf is not there" in refusal.message

        refusal = await refused(store, a_source("http", url=url, sha256="0" * 64))
        assert f"pirate.gguf at {web.url}/pirate has the SHA-256 {sha256}" in refusal.message


async def test_of_another_version_than_the_pinned_one_nothing_is_taken(tmp_path: Path) -> None:
    (tmp_path / "new-pod").mkdir()
    with running_web_server() as web:
        url = web.put(with_files(tmp_path / "files", **{"pirate.gguf": CONTENT})) + "/pirate.gguf"
        pinned = await open_at(tmp_path).resolve(a_source("http", url=url))
        web.put(with_files(tmp_path / "files", **{"pirate.gguf": OTHER}))
        refusal = await refused(open_at(tmp_path / "new-pod"), pinned.source)
    assert refusal.reason in (Reason.DIGEST_MISMATCH, Reason.SOURCE_UNREACHABLE), refusal.message
