"""Writes the page; with `--check`, says whether it is up to date."""

import sys
from pathlib import Path

from http_reference import servers
from http_reference.page import page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "http.md"


def main(arguments: list[str]) -> int:
    """Command line; returns the exit status."""
    text = page(servers.serving(), servers.admin())
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    stale = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text
    if stale:
        sys.stderr.write(f"not up to date: {PAGE.name}; run `make gen` and commit the result\n")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
