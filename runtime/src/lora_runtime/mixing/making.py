"""From what the document says of a mixture to the folder that an engine serves it from."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_api.mixture_api import MixtureSpec
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.mixture import MixtureConfig
from lora_runtime.adapters.base import BaseModel
from lora_runtime.adapters.errors import not_fetched
from lora_runtime.mixing.places import digest_over, folder_in
from lora_runtime.mixture import assembly, package
from lora_runtime.mixture.checkpoint import count_experts, options_of
from lora_runtime.mixture.package import Mixture
from lora_runtime.mixture.shapes import Shape, shape_of
from lora_runtime.store.content import ContentStore
from lora_runtime.store.disk import disk_refused
from lora_runtime.workshop import Progress

_FORMAT = 2
"""Raise it when another folder is made of the same mixture: a store outlives the process."""
_OVERHEAD_BYTES = 1 << 20
"""Of a folder, beside the tensors."""


@dataclass(frozen=True, slots=True)
class Made:
    """A mixture that the engine can serve."""

    folder: Path
    """Its name tells what is in it: another mixture has another."""
    source: AdapterSource | None
    """Pinned."""
    digest: str
    shape: Shape
    experts: tuple[str, ...]
    trained: bool


@dataclass(frozen=True, slots=True)
class _Fetched:
    folders: tuple[Path, ...]
    """Of adapters, in order; a trained mixture's own comes first."""
    source: AdapterSource | None
    digest: str


@dataclass(frozen=True, slots=True)
class _Base:
    folder: Path
    model: BaseModel


class MixtureMaker:
    """Makes folders in the store. What it must know of the base model may arrive later; work that needs it waits."""

    def __init__(self, store: ContentStore, *, scalings: bool = False) -> None:
        """Takes the store; `scalings` has engines tell those that they use."""
        self._store = store
        self._scalings = scalings
        self._base: asyncio.Future[_Base] = asyncio.get_running_loop().create_future()
        self.latest: str | None = None
        """Name of the folder that was made last, so that it stays until somebody needs it."""

    def set_base(self, folder: Path, model: BaseModel) -> None:
        """Tells what the experts adapt."""
        self._base.set_result(_Base(folder, model))

    async def make(self, spec: MixtureSpec, progress: Progress, fetched: Callable[[], None]) -> Made:
        """The folder of a mixture, made of exactly the files that are wanted.

        Args:
            spec: What is wanted.
            progress: Told about downloads.
            fetched: Called once they are done.

        Raises:
            Refused: a part cannot be had, or does not fit.
        """
        base = await asyncio.shield(self._base)
        if (made := await self._found(spec, base)) is not None:
            return made
        with ExitStack() as held:
            files = await self._fetch(spec, progress, held)
            fetched()
            with disk_refused(base.folder):
                mixture = await asyncio.to_thread(_assembled, spec, files, base)
            self.latest = self._name(spec, files.digest, base)
            folder = await self._store.made.make(
                self.latest,
                package.size_bytes(mixture) + _OVERHEAD_BYTES,
                f"mixture {spec.revision}",
                lambda into: package.write(mixture, base.folder, into, scalings=self._scalings),
            )
        return _made(folder, files.source, files.digest, mixture)

    async def _found(self, spec: MixtureSpec, base: _Base) -> Made | None:
        """One of a process before this one, which needs no server for its files."""
        digest = spec.digest if spec.source is not None else digest_over(e.digest for e in spec.experts)
        if digest is None:
            return None
        self.latest = self._name(spec, digest, base)
        folder = await self._store.made.find(self.latest, package.is_whole)
        if folder is None:
            return None
        with disk_refused(folder):
            return _made(folder, spec.source, digest, await asyncio.to_thread(package.read, folder))

    async def _fetch(self, spec: MixtureSpec, progress: Progress, held: ExitStack) -> _Fetched:
        """The files; those that the document does not name stay as long as `held`."""
        if spec.source is not None:
            return await self._fetch_trained(spec.source, spec.digest, progress, held)
        # these stay because they are wanted: MixtureLoop.digests
        folders = [await self._store.ensure(e.source, e.digest, progress.part()) for e in spec.experts]
        return _Fetched(tuple(folders), None, digest_over(expert.digest for expert in spec.experts))

    async def _fetch_trained(
        self, source: AdapterSource, digest: str | None, progress: Progress, held: ExitStack
    ) -> _Fetched:
        """A trained one: its own folder is pinned first, so that all experts are of the same commit."""
        found = await self._store.resolve(source, progress=progress.part())
        held.enter_context(self._store.hold(found.digest))
        pinned, folders, digests = found.source, [found.folder], [found.digest]
        with disk_refused(found.folder):
            count = await asyncio.to_thread(count_experts, found.folder)
        for number in range(count):
            place = folder_in(pinned, str(number))
            if place is None:
                raise not_fetched(
                    Reason.SOURCE_FORBIDDEN,
                    f"{source.describe()} has no folders for the experts; set spec.mixture.source to another kind of place",
                    retryable=False,
                )
            expert = await self._store.resolve(place, progress=progress.part())
            held.enter_context(self._store.hold(expert.digest))
            folders.append(expert.folder)
            digests.append(expert.digest)
        if digest is not None and digest_over(digests) != digest:
            raise not_fetched(
                Reason.DIGEST_MISMATCH,
                f"{source.describe()} and the experts in it hold {digest_over(digests)}, but {digest} was found there first; "
                f"put those files back, or let spec.mixture.source name another folder or revision",
                retryable=True,
            )
        return _Fetched(tuple(folders), pinned, digest_over(digests))

    def _name(self, spec: MixtureSpec, digest: str, base: _Base) -> str:
        """Of all that decides what is in a folder; where the experts' files came from does not."""
        experts = [[expert.name, expert.digest, expert.weight] for expert in spec.experts]
        classifier = None if spec.classifier is None else spec.classifier.model_dump(mode="json")
        place = str(base.folder.resolve())
        facts: list[Any] = [_FORMAT, digest, experts, classifier, peft_options(spec.config), place, self._scalings]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def peft_options(config: MixtureConfig) -> dict[str, Any]:
    """What the user has set, by the names of PEFT's XLoraConfig."""
    said = config.model_dump(exclude_none=True)
    return {"top_k_lora" if name == "top_k" else name: value for name, value in said.items()}


def _assembled(spec: MixtureSpec, files: _Fetched, base: _Base) -> Mixture:
    assembly.check_base(base.folder)
    options = peft_options(spec.config)
    if spec.source is not None:
        own, *experts = files.folders
        return assembly.from_checkpoint(own, base.model, options, experts=experts)
    assert spec.classifier is not None  # noqa: S101  # MixtureSpec makes sure
    shape = {"xlora_depth": spec.classifier.depth, "xlora_size": spec.classifier.size}
    hidden = base.model.modules[assembly.EMBEDDING].out_features
    return assembly.from_adapters(
        dict(zip((expert.name for expert in spec.experts), files.folders, strict=True)),
        options_of({"hidden_size": hidden, **shape, **options}),
        base.model,
        seed=spec.classifier.seed,
        weights={expert.name: expert.weight for expert in spec.experts},
    )


def _made(folder: Path, source: AdapterSource | None, digest: str, mixture: Mixture) -> Made:
    return Made(folder, source, digest, shape_of(mixture), mixture.experts, mixture.trained)
