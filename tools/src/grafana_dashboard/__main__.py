"""`python -m grafana_dashboard [--check]`: writes the dashboard, or fails if it is not up to date."""

import sys

from grafana_dashboard import render


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit status."""
    text = render.rendered()
    if render.TARGET.is_file() and render.TARGET.read_text() == text:
        return 0
    if arguments == ["--check"]:
        sys.stderr.write(f"{render.TARGET} is not up to date: run `make gen` and commit the result\n")
        return 1
    render.TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
