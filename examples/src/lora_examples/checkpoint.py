"""The demo's X-LoRA as pods take it: ``python -m lora_examples.checkpoint FOLDER``.

In the tree lies its classifier alone; the experts are the demo adapters.
"""

import argparse
import hashlib
import shutil
from pathlib import Path

from lora_examples.asking import EXPERTS
from lora_examples.cache import cache_root, make_once
from lora_examples.voices import ADAPTERS, EXAMPLES

HEAD = EXAMPLES / "mixture"
"""Classifier and options."""


def assemble(folder: Path) -> None:
    """Write a whole checkpoint, with the experts in the folders 0, 1, and so on."""
    for place, part in _parts().items():
        shutil.copytree(part, folder / place, dirs_exist_ok=True)


def assembled() -> Path:
    """The whole checkpoint's folder among the cached artefacts: another one whenever a file of it changes."""
    digest = hashlib.sha256()
    for part in _parts().values():
        for file in sorted(part.iterdir()):
            digest.update(file.read_bytes())
    return make_once(cache_root() / "mixtures" / f"voices-{digest.hexdigest()[:8]}", assemble)


def _parts() -> dict[str, Path]:
    return {".": HEAD} | {str(number): ADAPTERS / name for number, name in enumerate(EXPERTS)}


def main() -> None:
    """Write it where the user says."""
    parser = argparse.ArgumentParser(prog="lora_examples.checkpoint", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write")
    assemble(parser.parse_args().out)


if __name__ == "__main__":
    main()
