"""What the operator and the runtime say to each other on the admin port (mutual TLS).

    PUT   /v1/desired                          the whole desired document; answers the inventory
    PATCH /v1/desired                          what changes in the document that `If-Match` names; else 412: PUT it then
    GET   /v1/inventory?after=<etag>&wait=<s>  long poll: answers as soon as the etag differs, else after `wait` seconds
    POST  /v1/resolve?wait=<s>                 pin one source to a commit and a digest, and check it against the base
    GET   /v1/memory                           the engine's own account of the tensors it holds; asks the engine

With `since=<etag>`, the first three answer only what has changed in the inventory after that one, if they still know.
The desired document is also written to a ConfigMap, from which a starting pod reads it.
"""

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, Self

from pydantic import FailFast, Field, model_validator

from lora_api.differing import differing
from lora_api.mixture_api import MixtureReport, MixtureSpec
from lora_api.v1alpha1.adapter import AdapterSource, BlendMethod, Precision, Verify
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_api.wire import Digest, Revision, WireModel

DESIRED_PATH = "/v1/desired"
INVENTORY_PATH = "/v1/inventory"
RESOLVE_PATH = "/v1/resolve"
MEMORY_PATH = "/v1/memory"

CONFIG_MAP_KEY = "desired.json.gz"
"""Key under `binaryData` of the ConfigMap that holds the desired document."""

MAX_WAIT_SECONDS = 60
"""Longest `wait` that the runtime grants."""

_PACKED_HOW_WELL = 2
"""Digests do not compress: gzip's level 6 takes three times as long for eight percent, and pods wait for it."""
MAX_MESSAGE_BYTES = 4 << 20
"""Longest message that either side reads, and longest document that a ConfigMap may unfold into.

A document of 10,000 adapters, which a ConfigMap just holds, takes 3.6 MiB. Neither side trusts the other with its
memory: whoever may edit ConfigMaps, or bring an image of their own into the pods, must not be able to end the operator,
which works for other namespaces, too.
"""

MAX_NAMES = 65_536
"""Served names in one document or inventory."""

_Quick = FailFast()
"""Stops at the first wrong item: to describe millions of them takes a thousand times the memory of the message."""


class Part(WireModel):
    """One trained adapter inside a revision, and how strongly it acts."""

    source: AdapterSource
    """Pinned: a Hugging Face revision is a commit here, an OCI tag has its digest, other servers' files their ETags."""
    digest: Digest
    """Digest of the files; a pod that finds other bytes refuses them."""
    weight: float = Field(allow_inf_nan=False)
    """Product of the weights on the way from the recipe it stands in down to this adapter."""


class Recipe(WireModel):
    """How the tensors of an adapter are made from files; a tree, since some blends can only be made one by one."""

    parts: Annotated[tuple["Part | BlendedPart", ...], _Quick] = Field(min_length=1)
    method: BlendMethod = BlendMethod.CONCAT
    rank: int | None = Field(default=None, ge=1)
    """Largest rank of the result in each module; set for every method but Concat."""
    density: float | None = Field(default=None, gt=0, le=1)
    """Share of each part's values that TIES and DARE keep."""
    seed: int | None = None
    """Decides which values DARE drops."""

    @model_validator(mode="after")
    def _rank_belongs_to_method(self) -> Self:
        if (self.rank is None) is not (self.method is BlendMethod.CONCAT):
            raise ValueError("rank is set for every method but Concat")
        return self

    @property
    def leaves(self) -> tuple[Part, ...]:
        """Every trained adapter in the tree, whose files are needed; its weight is that within its own recipe."""
        found: list[Part] = []
        for part in self.parts:
            found.extend((part,) if isinstance(part, Part) else part.recipe.leaves)
        return tuple(found)

    @property
    def depth(self) -> int:
        """How many recipes lie within each other: 1 when all parts are files."""
        return 1 + max(0 if isinstance(part, Part) else part.recipe.depth for part in self.parts)

    @property
    def concatenates_only(self) -> bool:
        """Whether all is exact concatenation, which costs no more than reading and writing the tensors."""
        return self.method is BlendMethod.CONCAT and all(isinstance(part, Part) for part in self.parts)

    @property
    def facts(self) -> list[Any]:
        """All that decides the bytes, as JSON.

        Where files come from is not in it: the same files at another place give the same bytes.
        """
        parts = [[p.digest if isinstance(p, Part) else p.recipe.facts, p.weight] for p in self.parts]
        options = [] if self.method is BlendMethod.CONCAT else [self.rank, self.density, self.seed]
        return [parts, self.method.value, *options]


class BlendedPart(WireModel):
    """A blend inside a revision that has to be made on its own, and how strongly it acts."""

    recipe: Recipe
    weight: float = Field(allow_inf_nan=False)


class RevisionSpec(Recipe):
    """All that is needed to make one revision of one served name: same revision, same bytes, on every pod."""

    revision: Revision
    precision: Precision = Precision.AUTO
    verify: Verify | None = None
    """What it must answer before it may be served; not hashed, since it does not change the bytes."""

    @classmethod
    def of(
        cls,
        parts: tuple[Part | BlendedPart, ...],
        method: BlendMethod,
        precision: Precision,
        *,
        rank: int | None = None,
        density: float | None = None,
        seed: int | None = None,
    ) -> Self:
        """Builds the recipe and names it by the hash of what decides its bytes."""
        recipe = Recipe(parts=parts, method=method, rank=rank, density=density, seed=seed)
        listed, name, *options = recipe.facts
        text = json.dumps([listed, name, precision.value, *options], separators=(",", ":"))
        revision = hashlib.sha256(text.encode()).hexdigest()[:8]
        return cls(
            revision=revision, parts=parts, method=method, precision=precision, rank=rank, density=density, seed=seed
        )


class DesiredAdapter(WireModel):
    """What a pod should do for one served name."""

    name: str
    """The served name."""
    uid: str = ""
    """UID of the LoRAAdapter that has the name: a re-created object inherits nothing."""
    serve: RevisionSpec | None = None
    """Serve this as soon as it is loaded, in place of what is served now."""
    prepare: RevisionSpec | None = None
    """Load this, invisible to clients, until it becomes `serve`."""

    @cached_property
    def written(self) -> bytes:
        """Its canonical bytes, made once: of thousands of entries, a change leaves all but a few as they are."""
        return self.canonical()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """See pydantic; the copy has bytes of its own."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("written", None)
        return copied


_name, _written = attrgetter("name"), attrgetter("written")


class Mismatch(ValueError):
    """A patch was not made for this document."""


class Desired(WireModel):
    """Everything the pods of one LoRAModel should serve."""

    sequence: int = Field(default=0, ge=0)
    """Grows with each change; a pod refuses to go back."""
    adapters: Annotated[tuple[DesiredAdapter, ...], _Quick] = Field(default=(), max_length=MAX_NAMES)
    """Sorted by name. A served name that is missing here is unloaded."""
    mixture: MixtureSpec | None = None
    """What the pods serve as their model: an X-LoRA of the base model; None for the base model as it is."""

    @cached_property
    def etag(self) -> str:
        """Names this very document."""
        return hashlib.sha256(self.canonical()).hexdigest()[:16]

    @cached_property
    def by_name(self) -> Mapping[str, DesiredAdapter]:
        """The entries by served name."""
        return dict(zip(map(_name, self.adapters), self.adapters, strict=True))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """See pydantic; the copy has an etag and entries of its own."""
        copied = super().model_copy(update=update, deep=deep)
        for made in ("etag", "by_name"):
            copied.__dict__.pop(made, None)
        return copied

    def serves_as(self, other: "Desired") -> bool:
        """Whether both say the same of what is to be served, whatever they say of what is to be prepared."""
        if len(self.adapters) != len(other.adapters) or self.mixture != other.mixture:
            return False
        return all(
            mine is theirs or (mine.name, mine.uid, mine.serve) == (theirs.name, theirs.uid, theirs.serve)
            for mine, theirs in zip(self.adapters, other.adapters, strict=True)
        )

    def canonical(self) -> bytes:
        """See WireModel; put together from the bytes of the entries."""
        mixture = b"" if self.mixture is None else b'"mixture":%b,' % self.mixture.canonical()
        entries = b",".join(map(_written, self.adapters))
        return b'{"adapters":[%b],%b"sequence":%d}' % (entries, mixture, self.sequence)

    def packed(self, how_well: int = _PACKED_HOW_WELL) -> bytes:
        """The document as the ConfigMap holds it: gzip without a time stamp, so that equal documents are equal bytes."""
        return gzip.compress(self.canonical(), how_well, mtime=0)

    def patch_from(self, earlier: "Desired") -> "DesiredPatch":
        """What turns an earlier document into this one."""
        before, after = earlier.by_name, self.by_name
        # Mostly the same objects, which need no comparing.
        names = sorted(differing(before, after))
        return DesiredPatch(
            sequence=self.sequence,
            etag=self.etag,
            adapters=tuple(after[name] for name in names if name in after and before.get(name) != after[name]),
            removed=tuple(name for name in names if name not in after),
            mixture=self.mixture,
        )

    def patched(self, patch: "DesiredPatch") -> "Desired":
        """The document that a patch makes of this one.

        Raises:
            Mismatch: it was made for another one.
        """
        entries = dict(self.by_name)
        for name in patch.removed:
            entries.pop(name, None)
        entries |= {entry.name: entry for entry in patch.adapters}
        adapters = tuple(entries[name] for name in sorted(entries))
        made = Desired(sequence=patch.sequence, adapters=adapters, mixture=patch.mixture)
        if made.etag != patch.etag:
            raise Mismatch(f"the patch is to make document {patch.etag}, and makes {made.etag} of {self.etag}")
        return made

    @classmethod
    def unpacked(cls, data: bytes) -> Self:
        """Reads what `packed` wrote.

        Raises:
            ValueError: the bytes are not gzip, or not a desired document, or one that is too long.
        """
        try:
            with gzip.open(io.BytesIO(data)) as file:
                text = file.read(MAX_MESSAGE_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"the desired document is not gzip: {error}") from error
        if len(text) > MAX_MESSAGE_BYTES:
            raise ValueError(f"the desired document is longer than {MAX_MESSAGE_BYTES} bytes")
        return cls.model_validate_json(text)


class DesiredPatch(WireModel):
    """What changes from one document to a later one."""

    sequence: int = Field(ge=0)
    """Of the later one."""
    etag: str
    """Of the later one: who applies the patch makes sure of having that."""
    adapters: Annotated[tuple[DesiredAdapter, ...], _Quick] = ()
    """Entries that are new or other than before."""
    removed: Annotated[tuple[str, ...], _Quick] = ()
    """Served names that are in the earlier one only."""
    mixture: MixtureSpec | None = None
    """As in the later one."""


class RevisionState(StrEnum):
    """How far a pod is with one revision of one served name, in order."""

    FETCHING = "Fetching"
    LOADING = "Loading"
    PREPARED = "Prepared"
    """In the engine, and invisible to clients."""
    SERVING = "Serving"
    DRAINING = "Draining"
    """Replaced; requests that began on it are ending."""
    FAILED = "Failed"


class RevisionReport(WireModel):
    """One revision of one served name in one pod."""

    revision: Revision
    state: RevisionState
    reason: Reason | None = None
    """Set when Failed, or when what is Serving does not pass a check that was asked for later."""
    message: str = ""
    """Why it failed; or else what its author should know, although it is sound."""
    rank: int | None = None
    energy: float | None = None
    """Of a blend whose rank was limited: the share of the sum of squared singular values that was kept."""
    size_bytes: int | None = None
    """Bytes of the published tensors, on the pod's disk."""
    host_bytes: int | None = None
    """Bytes it takes in the engine's host cache while it is there, over all workers; unset before it was loaded."""
    bytes_done: int | None = None
    bytes_total: int | None = None
    """Download progress in bytes while Fetching; the total is unset while unknown."""


class AdapterReport(WireModel):
    """One served name in one pod."""

    name: str
    uid: str | None = None
    """Of the LoRAAdapter that what is in service belongs to: one that was created anew is another. None where nothing is in
    service, or the runtime is of a version that does not tell."""
    revisions: Annotated[tuple[RevisionReport, ...], _Quick] = ()

    @property
    def serving(self) -> str | None:
        """The revision that answers new requests now."""
        return next((r.revision for r in self.revisions if r.state is RevisionState.SERVING), None)

    def report(self, revision: str) -> RevisionReport | None:
        """The report of one revision; a live one wins over one that is draining."""
        found = [r for r in self.revisions if r.revision == revision]
        return min(found, key=lambda r: r.state is RevisionState.DRAINING, default=None)


class Capacity(WireModel):
    """Room for adapters in one pod's engine, as the engine was started."""

    slots: int
    """Adapters that can take part in one batch."""
    slot_bytes: int
    """Device memory of one slot, over all devices: the same for every adapter, whatever its rank."""
    max_cached: int
    """Adapters that the engine holds in host memory."""


class Inventory(WireModel):
    """What one pod has, and what it serves."""

    boot_id: str
    """New at every start of the process: what an earlier one had loaded is gone."""
    etag: str
    """Changes whenever anything else here does."""
    version: int = 0
    """Counts the changes since the start of the process: of two inventories of one boot, the higher is the newer."""
    desired_sequence: int | None = None
    """The document the pod works on; None before the first."""
    desired_etag: str | None = None
    capacity: Capacity | None = None
    """None until the engine is there."""
    adapters: Annotated[tuple[AdapterReport, ...], _Quick] = Field(default=(), max_length=MAX_NAMES)
    mixture: MixtureReport | None = None
    """Of a pod that is to serve one."""
    since: int | None = None
    """When set, `adapters` has only what has changed after that version of the same boot."""
    gone: Annotated[tuple[str, ...], _Quick] = ()
    """Names of which nothing is left, although something was at the version `since`."""

    @cached_property
    def by_name(self) -> Mapping[str, AdapterReport]:
        """The reports by served name."""
        return {adapter.name: adapter for adapter in self.adapters}

    def adapter(self, name: str) -> AdapterReport | None:
        """The report for a served name."""
        return self.by_name.get(name)

    def followed_by(self, news: "Inventory") -> "Inventory | None":
        """This inventory with the news; None when they are of another boot, or leave out something in between."""
        if news.since is None:
            return news
        if news.boot_id != self.boot_id or not news.since <= self.version <= news.version:
            return None
        reports = {**self.by_name, **news.by_name}
        for name in news.gone:
            reports.pop(name, None)
        whole = news.model_copy(update={"adapters": tuple(reports.values()), "since": None, "gone": ()})
        whole.__dict__["by_name"] = reports
        return whole


class EngineMemory(WireModel):
    """What the engine's own tensors take now, over all its workers."""

    host_bytes: dict[str, int]
    """By the engine's name of each adapter in the host cache, `<served name>@<revision>.<n>`."""
    resident: tuple[str, ...]
    """Engine names of the adapters that have a slot, sorted."""
    slots_bytes: int
    """Device memory of all slots, used or not."""


class ResolveRequest(WireModel):
    """Asks a pod to find, pin and check one adapter."""

    source: AdapterSource
    digest: Digest | None = None
    """The user's pin: anything else is refused."""


class AdapterFacts(WireModel):
    """What is true of a source that was found, pinned and checked."""

    source: AdapterSource
    """The source, pinned: with a commit, ETags or a digest."""
    digest: Digest
    rank: int
    """Largest rank over its modules."""
    size_bytes: int


class Refusal(WireModel):
    """Why a source cannot be served."""

    condition: AdapterCondition
    """FETCHED or COMPATIBLE."""
    reason: Reason
    message: str
    retryable: bool
    """True when trying again may help although the spec is unchanged: an unreachable hub, a file not yet there."""


class ResolveState(StrEnum):
    """State of one resolution."""

    FETCHING = "Fetching"
    RESOLVED = "Resolved"
    REFUSED = "Refused"


class ResolveResponse(WireModel):
    """The answer so far; ask again while Fetching."""

    state: ResolveState
    facts: AdapterFacts | None = None
    refusal: Refusal | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None
