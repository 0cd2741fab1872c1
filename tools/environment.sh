#!/usr/bin/env bash
# Makes .venv: everything that the demo and the tests need, pinned. Safe to interrupt and to run again.
set -euo pipefail
cd "$(dirname "$0")/.."

uv_version=$(sed -n 's/^uv==//p' requirements/dev.txt)
needed_gib=9

python=$(command -v python3.11 || command -v python3 || true)
if [[ -z $python ]] || ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    echo "environment: needs Python 3.11 (as in Debian 12); found ${python:-no python3}. Install python3.11 and python3.11-venv." >&2
    exit 1
fi

complete=$(sha256sum requirements/dev.txt pyproject.toml | sha256sum | cut -c1-16)
if [[ -f .venv/.complete && $(<.venv/.complete) == "$complete" ]]; then
    touch .venv/.complete
    exit 0
fi

free_gib=$(df --output=avail -BG . | tail -1 | tr -dc 0-9)
if [[ ! -d .venv && $free_gib -lt $needed_gib ]]; then
    echo "environment: needs $needed_gib GiB of disk under $PWD, but $free_gib GiB are free. Free some, or clone elsewhere." >&2
    exit 1
fi

# Bytecode is compiled once here, not in each of the processes that every pod starts: they read it from a read-only mount.
echo "environment: installing into .venv (vLLM and torch for CPU: about 6 GB; a few minutes the first time on a machine)" >&2
rm -f .venv/.complete
# Made in several steps, of which uv is the last: without it, whatever an interrupted run left is made anew.
[[ -x .venv/bin/python && -x .venv/bin/uv ]] || "$python" -m venv --clear .venv
[[ -x .venv/bin/uv ]] || .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
.venv/bin/uv pip sync --python .venv/bin/python --compile-bytecode requirements/dev.txt
.venv/bin/uv pip install --python .venv/bin/python --quiet --no-deps --no-build-isolation --editable .
echo "$complete" > .venv/.complete
