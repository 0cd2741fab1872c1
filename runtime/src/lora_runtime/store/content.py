"""The adapters on this pod, by the digest of their bytes.

    <root>/sha256/<hex>/      the files of an adapter, verified
    <root>/versions/<name>/   what engines read, and the digest of it
    <root>/made/<name>/       what an engine is started from, if it is made of several
    <root>/incoming/<key>/    downloads that are not complete; they survive a restart, to be gone on with
    <root>/scratch/           whatever is being made or removed; emptied at start

One process owns a root, and calls it from one event loop. Only whole folders ever appear under their final names,
so a process may be killed at any point. What a process finds there at its start is verified before it is used.
What nobody needs stays until its room is needed; then the least recently used goes first.
"""

import asyncio
import logging
import shutil
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lora_api.egress import DEFAULT as DEFAULT_EGRESS
from lora_api.egress import Egress
from lora_api.runtime_api import RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.blend import Files
from lora_runtime.adapters.errors import Refused, not_fetched
from lora_runtime.adapters.inspect import Inspection
from lora_runtime.adapters.layout import tensors_in
from lora_runtime.store.budget import Fill
from lora_runtime.store.digest import digest_of, digests_of_parts, hex_of
from lora_runtime.store.disk import disk_refused, reveal
from lora_runtime.store.downloads import Downloads, key_of
from lora_runtime.store.flights import Flights, to_the_end
from lora_runtime.store.made import MadeFolders
from lora_runtime.store.progress import Progress
from lora_runtime.store.room import Room, Volume
from lora_runtime.store.sources.http import HTTPFiles
from lora_runtime.store.sources.huggingface import HuggingFaceHub
from lora_runtime.store.sources.object_store import GCSObjects, S3Objects
from lora_runtime.store.sources.oci import OCIArtifacts
from lora_runtime.store.sources.source import Sources
from lora_runtime.store.sources.volume import VolumeFiles
from lora_runtime.store.sources.web import Web
from lora_runtime.store.versions import Published, Versions

_log = logging.getLogger(__name__)

DEFAULT_ENDPOINT = "https://huggingface.co"
DEFAULT_MAX_BYTES = 16 << 30

_RECENT_KEPT = 16
"""So many adapters are needed after they were fetched, until somebody wants them by their digest."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A source that was found and fetched."""

    source: AdapterSource
    """Pinned: a branch or tag is replaced by its commit."""
    digest: str
    folder: Path
    size_bytes: int
    """Size of the tensors' file."""


@dataclass(frozen=True, slots=True)
class Needed:
    """What must stay in the store."""

    digests: Collection[str] = ()
    specs: Collection[RevisionSpec] = ()
    """Their versions, and all that these are made of."""
    made: Collection[str] = ()
    """Names of made folders."""


class ContentStore:
    """Fetches adapters, verifies them, and publishes versions of them."""

    def __init__(self, root: Path, sources: Sources, volume: Volume | None = None) -> None:
        """Takes over `root`, which nothing else uses; blocks briefly on the disk.

        Args:
            root: Folder that this process alone uses.
            sources: Where adapters come from.
            volume: What `root` lies on; `root` alone, with the whole disk, when unset.
        """
        self._root = root.resolve()
        self._contents = self._root / "sha256"
        self._scratch = self._root / "scratch"
        incoming, versions, made = self._root / "incoming", self._root / "versions", self._root / "made"
        shutil.rmtree(self._scratch, ignore_errors=True)
        own = (self._contents, versions, incoming, made)
        for folder in (*own, self._scratch):
            folder.mkdir(parents=True, exist_ok=True)
        self._room = Room(volume or Volume(self._root), own, self._scratch, self._needed_folders)
        self._downloads = Downloads(incoming, sources, self._room, self._arrived)
        self._versions = Versions(versions, self._scratch, self._room)
        self.made = MadeFolders(made, self._scratch, self._room)
        self._ensuring: Flights[tuple[str, str | Refused]] = Flights()
        self._checks: Flights[bool] = Flights()
        self._verified: set[str] = set()
        self._held: Counter[str] = Counter()
        self._recent: deque[str] = deque(maxlen=_RECENT_KEPT)
        self._needed: Callable[[], Needed] = Needed
        self._needed_before: set[Path] = set()

    def keep(self, needed: Callable[[], Needed]) -> None:
        """Sets who knows what must stay; asked whenever something is about to be removed.

        An engine re-reads the versions it knows at any time: they must be among what is needed.
        """
        self._needed = needed

    @property
    def fill(self) -> Fill | None:
        """How full the store was when files were last collected; None before. Any thread may ask."""
        return self._room.fill

    def expect_elsewhere(self, size_bytes: int) -> None:
        """Something beside the store takes so much of the volume, if not yet then soon."""
        self._room.expected_elsewhere = size_bytes

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
        pinned = await self._downloads.pin(source)
        digest = await self._fetch(pinned, progress)
        if pin is not None and digest != pin:
            raise _mismatch(pinned, pin, digest, retryable=source.volume is not None)
        self._not_recent(digest)
        self._recent.append(digest)
        folder = self._folder(digest)
        size = tensors_in(folder).stat().st_size
        return Resolved(pinned, digest, folder, size)

    async def ensure(self, source: AdapterSource, digest: str, progress: Progress | None = None) -> Path:
        """The folder with exactly the files of `digest`, fetched from the pinned `source` unless they are here.

        Callers that want the same digest at once cost one download, wherever each would take it from.

        Raises:
            Refused: they cannot be had, or the source holds other bytes.
        """
        folder, place = self._folder(digest), key_of(source)
        with self.hold(digest):
            while not await self._is_here(digest):
                taken_from, found = await self._ensuring.join(digest, lambda tell: self._try(source, tell), progress)
                if taken_from != place:
                    continue  # whatever went wrong at another place says nothing about this one
                if isinstance(found, Refused):
                    raise found
                if found != digest:
                    # it was there when the operator asked: next time it is read afresh, not taken for known
                    self._downloads.forget(source)
                    self._not_recent(found)
                    raise _mismatch(source, digest, found, retryable=True)
            self._room.used(folder)
            self._not_recent(digest)
        return folder

    @contextmanager
    def hold(self, digest: str) -> Iterator[None]:
        """Keeps the files of a digest from being removed meanwhile."""
        self._held[digest] += 1
        try:
            yield
        finally:
            self._held[digest] -= 1

    async def publish(self, spec: RevisionSpec, inspections: Sequence[Inspection]) -> Published:
        """The version of `spec` for an engine to read; made atomically, once.

        Args:
            spec: Its leaves must have been ensured and checked.
            inspections: Of its leaves, in the same order.

        Raises:
            Refused: a value does not fit the precision, or there is no room.
        """
        files = {
            leaf.digest: Files(self._folder(leaf.digest), inspection)
            for leaf, inspection in zip(spec.leaves, inspections, strict=True)
        }
        with ExitStack() as held:
            for digest in files:
                held.enter_context(self.hold(digest))
            return await self._versions.publish(spec, files)

    async def collect(self) -> None:
        """Removes what is not needed, as far as the budget is exceeded."""
        needed = set(self._needed_folders())
        for folder in self._needed_before - needed:
            if folder in self._room:
                # needed until now
                self._room.used(folder)
        self._needed_before = needed
        await self._room.remove(self._downloads.abandoned())
        await self._room.tidy()

    def _needed_folders(self) -> Collection[Path]:
        """On the loop's own thread: nothing can begin to use a folder between this and its disappearance."""
        needed = self._needed()
        digests = {*needed.digests, *(+self._held), *self._recent}
        digests.update(*map(digests_of_parts, needed.specs))
        return {
            *map(self._folder, digests),
            *self._versions.folders(needed.specs),
            *map(self.made.folder, needed.made),
            *self._downloads.folders(),
        }

    def _folder(self, digest: str) -> Path:
        return self._contents / hex_of(digest)

    async def _is_here(self, digest: str) -> bool:
        if digest in self._verified and self._folder(digest).exists():
            return True
        with disk_refused(self._root):
            return await self._checks.join(digest, lambda _: to_the_end(self._check(digest)))

    async def _check(self, digest: str) -> bool:
        folder = self._folder(digest)
        if await asyncio.to_thread(self._is_whole, digest):
            self._verified.add(digest)
            return True
        self._verified.discard(digest)
        if folder.exists():
            _log.warning("damaged content=%s; it is fetched again", digest)
            await self._room.remove([folder])
        return False

    def _is_whole(self, digest: str) -> bool:
        try:
            return digest_of(self._folder(digest)) == digest
        except OSError:
            return False

    async def _try(self, pinned: AdapterSource, progress: Progress) -> tuple[str, str | Refused]:
        """Which place was tried, and the digest that it holds or why it cannot be had."""
        try:
            return key_of(pinned), await self._fetch(pinned, progress)
        except Refused as refused:
            return key_of(pinned), refused

    async def _fetch(self, pinned: AdapterSource, progress: Progress | None) -> str:
        known = self._downloads.known(pinned)
        if known is not None and await self._is_here(known):
            return known
        return await self._downloads.get(pinned, progress)

    def _not_recent(self, digest: str) -> None:
        if digest in self._recent:
            self._recent.remove(digest)

    async def _arrived(self, incoming: Path, digest: str) -> None:
        with self.hold(digest):
            # a damaged copy must not stay in the way of the good one
            if await self._is_here(digest):
                await asyncio.to_thread(shutil.rmtree, incoming)
            else:
                await asyncio.to_thread(reveal, incoming, self._folder(digest))
            self._verified.add(digest)
            self._recent.append(digest)
            self._room.used(self._folder(digest))


def open_store(
    root: Path,
    *,
    volumes_root: Path,
    credentials_root: Path,
    endpoint: str = DEFAULT_ENDPOINT,
    max_bytes: int = DEFAULT_MAX_BYTES,
    volume: Volume | None = None,
    egress: Egress = DEFAULT_EGRESS,
) -> ContentStore:
    """A store with the sources of this pod.

    Args:
        root: Folder that this process alone uses.
        volumes_root: Holds each mounted volume under its name.
        credentials_root: Holds each mounted Secret under its name.
        endpoint: URL of the Hugging Face Hub or of a mirror.
        max_bytes: Largest adapter that is fetched.
        volume: What `root` lies on, and how much may be on it.
        egress: Which servers may be reached, except the hub's.
    """
    web = Web(egress, max_bytes)
    sources = Sources(
        hugging_face=HuggingFaceHub(endpoint.rstrip("/"), credentials_root, max_bytes),
        volume=VolumeFiles(volumes_root, max_bytes),
        s3=S3Objects(web, credentials_root),
        gcs=GCSObjects(web, credentials_root),
        http=HTTPFiles(web, credentials_root),
        oci=OCIArtifacts(web, credentials_root),
    )
    return ContentStore(root, sources, volume)


def _mismatch(source: AdapterSource, wanted: str, found: str, *, retryable: bool) -> Refused:
    return not_fetched(
        Reason.DIGEST_MISMATCH,
        f"{source.describe()} holds {found}, but {wanted} is wanted; put the wanted files back, or correct spec.digest",
        retryable=retryable,
    )
