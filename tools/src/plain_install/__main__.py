"""`python -m plain_install [--check]`: writes manifests/install.yaml, or fails if it is not up to date."""

import sys

from local_cluster.errors import ClusterError
from local_cluster.progress import Terminal
from plain_install import render


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit status."""
    try:
        text = render.rendered(Terminal())
    except ClusterError as error:
        sys.stderr.write(f"plain_install: {error}\n")
        return 1
    if render.TARGET.is_file() and render.TARGET.read_text() == text:
        return 0
    if arguments == ["--check"]:
        sys.stderr.write(f"{render.TARGET} is not up to date: run `make gen` and commit the result\n")
        return 1
    render.TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
