"""Files that are there whole, whatever happens while they are written."""

import contextlib
import os
from pathlib import Path


def write(file: Path, content: bytes) -> None:
    """Puts content in a file's place at once, and on the disk for good.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    draft = file.with_suffix(".draft")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(draft, file)
    except OSError:
        with contextlib.suppress(OSError):
            # Half of it is of no use, and takes room.
            draft.unlink(missing_ok=True)
        raise
