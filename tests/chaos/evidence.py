"""The folder with the steps and the logs of a run, which stays when there is something to find out."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PLACE = Path("/var/tmp")


@dataclass(slots=True)
class Evidence:
    """Of one run."""

    folder: Path
    good: bool = False
    """Whether the run has ended, and nothing was found."""


@contextlib.contextmanager
def evidence(keep: Path | None, again: str, tell: Callable[[str], None], place: Path = _PLACE) -> Iterator[Evidence]:
    """A folder that is removed after a good run, unless it was asked for.

    Args:
        keep: the folder that was asked for.
        again: the command that makes the same steps again.
        tell: is told that, and where the folder is, when the run was not good.
        place: where a folder is made that nobody asked for.
    """
    made = Evidence(keep or Path(tempfile.mkdtemp(prefix="chaos-", dir=place)))
    made.folder.mkdir(parents=True, exist_ok=True)
    found = True
    try:
        yield made
        found = not made.good
    except (KeyboardInterrupt, SystemExit):
        # Who ends it has found nothing.
        found = False
        raise
    finally:
        if found:
            tell(f"not good; the same steps again: {again}")
            tell(f"its steps and logs are kept in {made.folder}")
        elif keep is None:
            shutil.rmtree(made.folder, ignore_errors=True)
