"""The base model's folder: a volume as it is, a hub's repository as a snapshot of one commit."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, ModelInfo, snapshot_download
from huggingface_hub.utils import filter_repo_objects, tqdm

from lora_api.v1alpha1.common import HuggingFaceSource, ModelSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import BaseModelUnavailable, Refused, not_fetched
from lora_runtime.store.budget import USABLE_SHARE
from lora_runtime.store.content import DEFAULT_ENDPOINT
from lora_runtime.store.disk import is_full
from lora_runtime.store.sources.credentials import read_token
from lora_runtime.store.sources.hub_errors import HUB_ERRORS, explain
from lora_runtime.store.sources.volume import find_folder, folder_name

_CONFIG = "config.json"
_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.tiktoken")
"""What vLLM reads of a model without remote code; pickles and other formats stay away."""
_API_TIMEOUT_SECONDS = 15.0
_LOG_EVERY_SECONDS = 15.0
_NOT_KEPT: tuple[type[Exception], ...] = (*HUB_ERRORS, OSError, ValueError)

_log = logging.getLogger(__name__)


class _LoggedProgress(tqdm):  # type: ignore[misc]
    """Tells the download's progress as log lines."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "mininterval": _LOG_EVERY_SECONDS})

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Called by tqdm at most every `mininterval` seconds."""
        _log.info("base model: %s", msg or self)


@dataclass(frozen=True, slots=True)
class _Room:
    """What the base model may take."""

    limit_bytes: int | None
    expect: Callable[[int], None]

    def check(self, source: HuggingFaceSource, size_bytes: int) -> None:
        """Better said now than by the kubelet, which evicts the pod when the download is nearly done."""
        if self.limit_bytes is not None and size_bytes > self.limit_bytes * USABLE_SHARE:
            least = int(size_bytes / USABLE_SHARE)
            raise BaseModelUnavailable(
                f"{source.repo} takes {size_bytes >> 20} MiB, and spec.cache.sizeLimit of the LoRAModel is "
                f"{self.limit_bytes >> 20} MiB ({USABLE_SHARE:.0%} of it are used); raise it to {(least >> 20) + 1}Mi "
                f"and what the adapters take"
            )
        self.expect(size_bytes)


async def ensure_base(
    source: ModelSource,
    *,
    volumes_root: Path,
    credentials_root: Path,
    cache_root: Path,
    endpoint: str = DEFAULT_ENDPOINT,
    secrets: Sequence[str] = (),
    limit_bytes: int | None = None,
    expect: Callable[[int], None] = lambda size: None,
) -> Path:
    """The folder of the base model; downloads it first where needed, and goes on with what is there already.

    Args:
        source: Where it comes from.
        volumes_root: Holds each mounted volume under its name.
        credentials_root: Holds each mounted Secret under its name.
        cache_root: Where snapshots are kept.
        endpoint: URL of the Hugging Face Hub or of a mirror.
        secrets: Names of mounted Secrets, whose tokens are tried in order when the hub wants one.
        limit_bytes: What may be kept before the kubelet evicts the pod; None for no limit.
        expect: Told before a download how many bytes it will take in all.

    Raises:
        BaseModelUnavailable: it cannot be had; the message says what to do.
    """
    try:
        if source.volume is not None:
            folder = await asyncio.to_thread(find_folder, volumes_root, source.volume)
            where = folder_name(source.volume)
        elif source.hugging_face is not None:
            hub = source.hugging_face
            tokens = [None, *(await asyncio.to_thread(_tokens, credentials_root, secrets))]
            room = _Room(limit_bytes, expect)
            folder = await asyncio.to_thread(_download, hub, endpoint.rstrip("/"), tokens, cache_root, room)
            where = source.describe()
        else:
            raise BaseModelUnavailable(
                "the runtime knows no base model source of this kind; set spec.source.huggingFace or "
                "spec.source.volume of the LoRAModel"
            )
    except Refused as refused:
        raise BaseModelUnavailable(str(refused)) from refused
    if not (folder / _CONFIG).is_file():
        raise BaseModelUnavailable(
            f"{where} has no {_CONFIG}, so it is not a model in the Hugging Face layout; correct spec.source of the "
            f"LoRAModel"
        )
    return folder


def _tokens(credentials_root: Path, secrets: Sequence[str]) -> list[str]:
    found = []
    for secret in secrets:
        try:
            found.append(read_token(credentials_root, secret))
        except Refused as refused:
            _log.warning("base model: %s", refused)
    return found


def _download(
    source: HuggingFaceSource, endpoint: str, tokens: Sequence[str | None], cache_root: Path, room: _Room
) -> Path:
    prefix = f"{source.subfolder.strip('/')}/" if source.subfolder else ""
    patterns = [prefix + pattern for pattern in _FILES]
    try:
        token, info = _accepted(source, endpoint, tokens)
    except Refused as refused:
        kept = _kept(source, cache_root) if refused.refusal.reason is Reason.SOURCE_UNREACHABLE else None
        if kept is None:
            raise
        _log.warning("base model: %s; the copy in %s is used meanwhile", refused, kept)
        return kept / prefix
    files = filter_repo_objects(info.siblings or (), allow_patterns=patterns, key=lambda file: file.rfilename)
    room.check(source, sum(file.size or 0 for file in files))
    _log.info("base model: downloading %s at commit %s from %s", source.repo, info.sha, endpoint)
    try:
        snapshot = snapshot_download(
            source.repo,
            revision=source.revision,
            cache_dir=cache_root,
            endpoint=endpoint,
            token=token or False,
            allow_patterns=patterns,
            tqdm_class=_LoggedProgress,
        )
    except HUB_ERRORS as error:
        raise explain(error, source, endpoint, _remedy(tokens)) from error
    except OSError as error:
        remedy = "raise spec.cache.sizeLimit of the LoRAModel" if is_full(error) else "it is tried again"
        raise BaseModelUnavailable(f"{source.repo} cannot be stored in {cache_root}: {error}; {remedy}") from error
    _log.info("base model: %s is complete", source.repo)
    return Path(snapshot) / prefix


def _accepted(source: HuggingFaceSource, endpoint: str, tokens: Sequence[str | None]) -> tuple[str | None, ModelInfo]:
    """The first token that the hub accepts and what the revision names."""
    problem = not_fetched(Reason.UNAUTHORIZED, "no token was tried", retryable=True)
    for token in tokens:
        try:
            info = HfApi(endpoint=endpoint, token=token or False).model_info(
                source.repo, revision=source.revision, files_metadata=True, timeout=_API_TIMEOUT_SECONDS
            )
        except HUB_ERRORS as error:
            problem = explain(error, source, endpoint, _remedy(tokens))
            if problem.refusal.reason is Reason.SOURCE_UNREACHABLE:
                break
        else:
            return token, info
    raise problem


def _kept(source: HuggingFaceSource, cache_root: Path) -> Path | None:
    """The snapshot that this revision named when the hub could last be reached."""
    try:
        found = snapshot_download(source.repo, revision=source.revision, cache_dir=cache_root, local_files_only=True)
    except _NOT_KEPT:
        return None
    return Path(found)


def _remedy(tokens: Sequence[str | None]) -> str:
    if len(tokens) == 1:
        return "list a Secret with a token that may read it in the LoRAModel's spec.credentials"
    return "no token of the LoRAModel's spec.credentials opens it: grant one of them access"
