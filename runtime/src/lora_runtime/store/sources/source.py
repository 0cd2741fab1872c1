"""What every source of adapters can do."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import Refused, not_fetched
from lora_runtime.store.progress import Progress


class Source(Protocol):
    """One kind of place that adapters come from."""

    async def pin(self, source: AdapterSource) -> AdapterSource:
        """The same source, named so that it means the same files tomorrow, as far as its kind allows.

        Raises:
            Refused: it cannot be found or read.
        """
        ...

    async def fetch(self, source: AdapterSource, into: Path, progress: Progress) -> None:
        """Copies the files of a pinned source into an existing folder, under their names in the store.

        What an interrupted call left in the folder may be used to go on from there, once it is known to be whole.

        Raises:
            Refused: it cannot be found, read, or is too large.
            OSError: the folder cannot be written.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of this pod, by kind."""

    hugging_face: Source
    volume: Source
    s3: Source | None = None
    gcs: Source | None = None
    http: Source | None = None
    oci: Source | None = None

    def of(self, source: AdapterSource) -> Source:
        """The one that can read `source`.

        Raises:
            Refused: this runtime knows no such kind.
        """
        for kind in fields(self):
            reader: Source | None = getattr(self, kind.name)
            if reader is not None and getattr(source, kind.name) is not None:
                return reader
        raise not_fetched(
            Reason.SOURCE_FORBIDDEN,
            "the runtime knows no source of this kind; set another one, or update the runtime image to the operator's "
            "version",
            retryable=False,
        )


def too_large(where: str, size: int, limit: int) -> Refused:
    """The files are larger than this pod accepts; sizes in bytes."""
    return not_fetched(
        Reason.SOURCE_TOO_LARGE,
        f"{where} holds {size} bytes, but adapters of at most {limit} bytes are fetched; is this an adapter, "
        f"or a whole model?",
        retryable=False,
    )
