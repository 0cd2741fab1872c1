"""What is on this machine's disk."""

import os
from pathlib import Path


def path_of(text: str) -> Path | None:
    """The place that a word names: one that is here, or is written as only a path is."""
    # Unlike Path's own, it leaves alone what is no user's.
    path = Path(os.path.expanduser(text))
    if not (text.startswith(("./", "../", "/", "~")) or text in (".", "..") or (text and os.path.exists(path))):
        return None
    return path.resolve()
