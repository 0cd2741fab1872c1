"""The base model's folder: from a volume as it is, from the hub as a snapshot, and what is said when it fails."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from lora_api.v1alpha1.common import HuggingFaceSource, ModelSource, VolumeSource
from lora_runtime.adapters.errors import BaseModelUnavailable
from lora_runtime.store.base_model import ensure_base
from support.hub import Hub

REPO = "team/base"


async def ensure(tmp_path: Path, hub: Hub, secrets: tuple[str, ...] = (), source: ModelSource | None = None) -> Path:
    return await ensure_base(
        source or ModelSource(hugging_face=HuggingFaceSource(repo=REPO)),
        volumes_root=tmp_path / "volumes",
        credentials_root=tmp_path / "credentials",
        cache_root=tmp_path / "hub-cache",
        endpoint=hub.endpoint,
        secrets=secrets,
    )


async def test_a_volume_is_used_where_it_lies(tmp_path: Path, hub: Hub, volumes: Path, base: Path) -> None:
    (volumes / "shared" / "smol").symlink_to(base)
    folder = volumes / "shared" / "copy"
    folder.mkdir()
    (folder / "config.json").write_bytes((base / "config.json").read_bytes())
    source = ModelSource(volume=VolumeSource(name="shared", path="copy"))
    assert await ensure(tmp_path, hub, source=source) == folder.resolve()


async def test_a_folder_without_a_config_says_so(tmp_path: Path, hub: Hub, volumes: Path) -> None:
    source = ModelSource(volume=VolumeSource(name="shared"))
    with pytest.raises(BaseModelUnavailable, match=r"folder \. of volume shared has no config\.json"):
        await ensure(tmp_path, hub, source=source)


async def test_a_repository_becomes_a_snapshot_without_pickles(
    tmp_path: Path, hub: Hub, base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="lora_runtime.store.base_model")
    hub.repo(REPO).commit(base)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "pytorch_model.bin").write_bytes(b"pickle")
    commit = hub.repo(REPO).branches["main"]
    hub.repo(REPO).commits[commit]["pytorch_model.bin"] = b"pickle"

    folder = await ensure(tmp_path, hub)

    assert (folder / "model.safetensors").read_bytes() == (base / "model.safetensors").read_bytes()
    assert not (folder / "pytorch_model.bin").exists()
    assert f"downloading {REPO} at commit {commit}" in caplog.text


async def test_the_kept_snapshot_serves_while_the_hub_is_down(tmp_path: Path, hub: Hub, base: Path) -> None:
    hub.repo(REPO).commit(base)
    folder = await ensure(tmp_path, hub)
    hub.fail_with = 503
    assert await ensure(tmp_path, hub) == folder


async def test_without_a_kept_snapshot_an_unreachable_hub_is_named(tmp_path: Path, hub: Hub) -> None:
    hub.fail_with = 503
    with pytest.raises(BaseModelUnavailable, match="answers 503"):
        await ensure(tmp_path, hub)


async def test_the_tokens_of_the_model_are_tried_in_order(tmp_path: Path, hub: Hub, base: Path) -> None:
    hub.repo(REPO).commit(base)
    hub.repo(REPO).token = "hf_right"
    for secret, token in (("wrong", "hf_wrong"), ("right", "hf_right")):
        (tmp_path / "credentials" / secret).mkdir(parents=True)
        (tmp_path / "credentials" / secret / "token").write_text(token)

    assert (await ensure(tmp_path, hub, ("missing", "wrong", "right")) / "config.json").is_file()
    with pytest.raises(BaseModelUnavailable, match=r"no token of the LoRAModel's spec\.credentials opens it"):
        await ensure(tmp_path, hub, ("wrong",))
    with pytest.raises(BaseModelUnavailable, match="list a Secret with a token"):
        await ensure(tmp_path, hub)


async def test_a_model_that_cannot_fit_is_said_before_it_is_downloaded(tmp_path: Path, hub: Hub, base: Path) -> None:
    hub.repo(REPO).commit(base)
    told: list[int] = []

    async def limited(limit_bytes: int) -> Path:
        return await ensure_base(
            ModelSource(hugging_face=HuggingFaceSource(repo=REPO)),
            volumes_root=tmp_path, credentials_root=tmp_path, cache_root=tmp_path / "hub-cache",
            endpoint=hub.endpoint, limit_bytes=limit_bytes, expect=told.append,
        )  # fmt: skip

    with pytest.raises(
        BaseModelUnavailable, match=r"spec\.cache\.sizeLimit of the LoRAModel is 1 MiB .* raise it to 2Mi"
    ):
        await limited(1 << 20)
    assert hub.downloads() == []
    assert told == []
    folder = await limited(16 << 20)
    assert told == [sum(map(len, hub.repo(REPO).commits[hub.repo(REPO).branches["main"]].values()))]
    assert (folder / "config.json").is_file()
