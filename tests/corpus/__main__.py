"""`python -m corpus FOLDER`: writes the base model and every hostile adapter, and what each must be refused for."""

import json
import sys
from pathlib import Path

from corpus.every import CORPUS, path_of, write
from support.models import tiny_base

if __name__ == "__main__":
    volumes = Path(sys.argv[1])
    write(volumes / "adapters", tiny_base(volumes / "models" / "base"))
    expected = [{"path": path_of(case), "reason": case.reason, "says": case.says} for case in CORPUS]
    (volumes / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")
    print(f"{len(CORPUS)} adapters in {volumes}")  # noqa: T201
