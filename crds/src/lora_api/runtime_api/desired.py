"""The desired document: everything the pods of one LoRAModel should serve."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Mapping
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, Self

from pydantic import Field

from lora_api.differing import differing
from lora_api.mixture_api import MixtureSpec
from lora_api.runtime_api.limits import MAX_MESSAGE_BYTES, MAX_NAMES, QUICK
from lora_api.runtime_api.revision import RevisionSpec
from lora_api.wire import WireModel

CONFIG_MAP_KEY = "desired.json.gz"
"""Key under `binaryData` of the ConfigMap that holds the desired document."""

_PACKED_HOW_WELL = 2
"""Digests do not compress: gzip's level 6 takes three times as long for eight percent, and pods wait for it."""


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
    adapters: Annotated[tuple[DesiredAdapter, ...], QUICK] = Field(default=(), max_length=MAX_NAMES)
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
    adapters: Annotated[tuple[DesiredAdapter, ...], QUICK] = ()
    """Entries that are new or other than before."""
    removed: Annotated[tuple[str, ...], QUICK] = ()
    """Served names that are in the earlier one only."""
    mixture: MixtureSpec | None = None
    """As in the later one."""
