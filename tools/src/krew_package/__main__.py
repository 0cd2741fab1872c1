"""`python -m krew_package FOLDER URI`: the archive and the manifest, where URI is where the archive will lie."""

import sys
from pathlib import Path

from krew_package.package import ARCHIVE, write


def main(arguments: list[str]) -> int:
    """Command line; returns the exit status."""
    if len(arguments) != 2 or not arguments[1].startswith("https://") or not arguments[1].endswith(f"/{ARCHIVE}"):
        sys.stderr.write(f"say where the archive will lie: make krew URI=https://…/{ARCHIVE}\n")
        return 2
    for path in write(Path(arguments[0]), arguments[1]):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
