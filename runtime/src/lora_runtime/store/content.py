"""The adapters on this pod, by the digest of their bytes.

    <root>/sha256/<hex>/      the two files of an adapter, verified
    <root>/versions/<name>/   what engines read
    <root>/incoming/<key>/    downloads that are not complete; they survive a restart, to be gone on with
    <root>/scratch/           whatever is being made or removed; emptied at start

One process owns a root, and calls it from one event loop. Only whole folders ever appear under their final names,
so a process may be killed at any point.
"""

import asyncio
import hashlib
import shutil
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_api.runtime_api import RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.blend import BlendPart
from lora_runtime.adapters.errors import TENSORS_FILE, Refused, not_fetched
from lora_runtime.adapters.inspect import Inspection
from lora_runtime.store.digest import digest_of, hex_of
from lora_runtime.store.disk import disk_refused, hide, reveal
from lora_runtime.store.flights import Flights
from lora_runtime.store.sources.huggingface import HuggingFaceHub
from lora_runtime.store.sources.source import Progress, Sources
from lora_runtime.store.sources.volume import VolumeFiles
from lora_runtime.store.versions import Published, Versions

DEFAULT_ENDPOINT = "https://huggingface.co"
DEFAULT_MAX_BYTES = 16 << 30

_RECENT_KEPT = 16
"""So many adapters outlive a collection after they were fetched: the operator is about to ask for them."""
_INCOMING_KEPT = 4
"""So many interrupted downloads are kept to go on with."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A source that was found and fetched."""

    source: AdapterSource
    """Pinned: a branch or tag is replaced by its commit."""
    resolved: str
    """The same in one line, for people."""
    digest: str
    folder: Path
    size_bytes: int
    """Size of the tensors' file."""


class ContentStore:
    """Fetches adapters, verifies them, and publishes versions of them."""

    def __init__(self, root: Path, sources: Sources) -> None:
        """Takes over `root`, which nothing else uses; blocks briefly on the disk."""
        self._root = root.resolve()
        self._sources = sources
        self._contents = self._root / "sha256"
        self._incoming = self._root / "incoming"
        self._scratch = self._root / "scratch"
        versions = self._root / "versions"
        shutil.rmtree(self._scratch, ignore_errors=True)
        for folder in (self._contents, self._incoming, self._scratch, versions):
            folder.mkdir(parents=True, exist_ok=True)
        self._versions = Versions(versions, self._scratch)
        self._fetches: Flights[str] = Flights()
        self._checks: Flights[bool] = Flights()
        self._verified: set[str] = set()
        self._commits: dict[str, str] = {}
        self._wanted: dict[str, int] = {}
        self._recent: deque[str] = deque(maxlen=_RECENT_KEPT)

    async def resolve(
        self, source: AdapterSource, pin: str | None = None, progress: Progress | None = None
    ) -> Resolved:
        """Finds out what a source holds now, and fetches it.

        Args:
            source: As the user wrote it.
            pin: The only digest that is accepted.
            progress: Told about the download.

        Raises:
            Refused: it cannot be found, read or stored, or its digest is not `pin`.
        """
        pinned = await self._sources.of(source).pin(source)
        digest = await self._fetch(pinned, progress)
        if pin is not None and digest != pin:
            raise _mismatch(pinned, pin, digest)
        folder = self._folder(digest)
        size = (folder / TENSORS_FILE).stat().st_size
        return Resolved(pinned, pinned.describe(), digest, folder, size)

    async def ensure(self, source: AdapterSource, digest: str, progress: Progress | None = None) -> Path:
        """The folder with exactly the files of `digest`, fetched from the pinned `source` unless they are here.

        Raises:
            Refused: they cannot be had, or the source holds other bytes.
        """
        folder = self._folder(digest)
        with _Want(self._wanted, digest):
            if await self._is_here(digest):
                return folder
            found = await self._fetch(source, progress)
        if found != digest:
            raise _mismatch(source, digest, found)
        return folder

    async def publish(self, spec: RevisionSpec, inspections: Sequence[Inspection]) -> Published:
        """The version of `spec` for an engine to read; made atomically, once.

        Args:
            spec: Its parts must have been ensured and checked.
            inspections: Of its parts, in the same order.

        Raises:
            Refused: a value does not fit the precision, or the disk is full.
        """
        parts = [
            BlendPart(self._folder(part.digest), inspection, part.weight)
            for part, inspection in zip(spec.parts, inspections, strict=True)
        ]
        return await self._versions.publish(spec, parts)

    async def collect(self, keep_digests: Collection[str], keep: Collection[RevisionSpec]) -> None:
        """Removes everything else, except what is being fetched or made, or just was.

        An engine re-reads the versions it knows at any time: `keep` must hold all of them.
        """
        digests = {*keep_digests, *self._wanted, *self._recent}
        digests.update(part.digest for spec in keep for part in spec.parts)
        kept = {hex_of(digest) for digest in digests}
        # on the loop's own thread: nothing can begin to use a folder between the decision and its disappearance
        hidden = self._versions.hide_all_but(keep)
        for folder in self._contents.iterdir():
            if folder.name not in kept:
                self._verified.discard(f"sha256:{folder.name}")
                hidden.append(hide(folder, self._scratch))
        idle = [folder for folder in self._incoming.iterdir() if folder.name not in self._fetches]
        idle.sort(key=lambda folder: folder.stat().st_mtime_ns, reverse=True)
        hidden.extend(hide(folder, self._scratch) for folder in idle[_INCOMING_KEPT:])
        for aside in hidden:
            await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)

    def _folder(self, digest: str) -> Path:
        return self._contents / hex_of(digest)

    async def _is_here(self, digest: str) -> bool:
        if digest in self._verified:
            return True
        return await self._checks.join(digest, lambda _: asyncio.to_thread(self._check, digest))

    def _check(self, digest: str) -> bool:
        folder = self._folder(digest)
        if not folder.exists():
            return False
        try:
            found = digest_of(folder)
        except OSError:
            found = "unreadable"
        if found == digest:
            self._verified.add(digest)
            return True
        shutil.rmtree(hide(folder, self._scratch), ignore_errors=True)
        return False

    async def _fetch(self, pinned: AdapterSource, progress: Progress | None) -> str:
        key = hashlib.sha256(pinned.model_dump_json().encode()).hexdigest()[:32]
        known = self._commits.get(key)
        if known in self._verified:
            return known
        return await self._fetches.join(key, lambda tell: self._fetch_once(key, pinned, tell), progress)

    async def _fetch_once(self, key: str, pinned: AdapterSource, progress: Progress) -> str:
        incoming = self._incoming / key
        try:
            with disk_refused(self._root):
                incoming.mkdir(exist_ok=True)
                await self._sources.of(pinned).fetch(pinned, incoming, progress)
                digest = await asyncio.to_thread(digest_of, incoming)
                with _Want(self._wanted, digest):
                    # a damaged copy must not stay in the way of the good one
                    await self._is_here(digest)
                    await asyncio.to_thread(reveal, incoming, self._folder(digest))
                    self._verified.add(digest)
                    self._recent.append(digest)
        except Refused as refused:
            if refused.refusal.reason is Reason.STORE_FULL:
                await asyncio.to_thread(shutil.rmtree, incoming, ignore_errors=True)
            raise
        if pinned.hugging_face is not None:
            # a commit never changes; a volume may
            self._commits[key] = digest
        return digest


class _Want:
    """Keeps a digest from being collected."""

    def __init__(self, wanted: dict[str, int], digest: str) -> None:
        self._wanted, self._digest = wanted, digest

    def __enter__(self) -> None:
        self._wanted[self._digest] = self._wanted.get(self._digest, 0) + 1

    def __exit__(self, *_: object) -> None:
        self._wanted[self._digest] -= 1
        if not self._wanted[self._digest]:
            del self._wanted[self._digest]


def open_store(
    root: Path,
    *,
    volumes_root: Path,
    credentials_root: Path,
    endpoint: str = DEFAULT_ENDPOINT,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> ContentStore:
    """A store with the sources of this pod.

    Args:
        root: Folder that this process alone uses.
        volumes_root: Holds each mounted volume under its name.
        credentials_root: Holds each mounted Secret under its name.
        endpoint: URL of the Hugging Face Hub or of a mirror.
        max_bytes: Largest adapter that is fetched.
    """
    sources = Sources(
        hugging_face=HuggingFaceHub(endpoint.rstrip("/"), credentials_root, max_bytes),
        volume=VolumeFiles(volumes_root, max_bytes),
    )
    return ContentStore(root, sources)


def _mismatch(source: AdapterSource, wanted: str, found: str) -> Refused:
    return not_fetched(
        Reason.DIGEST_MISMATCH,
        f"{source.describe()} holds {found}, but {wanted} is wanted; put the wanted files back, or correct spec.digest",
        retryable=source.volume is not None,
    )
