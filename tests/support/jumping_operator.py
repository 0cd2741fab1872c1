"""`python -m support.jumping_operator`: the operator on a machine whose clock somebody sets.

The file that JUMP_FILE names holds by how many seconds it is wrong.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path

import uvloop

from lora_operator import app, config, logs
from lora_operator.clients.clock import SystemClock


class JumpingClock(SystemClock):
    """The clock of this machine, as wrong as the file says."""

    def __init__(self, file: Path) -> None:
        self._file = file
        super().__init__()

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=float(self._file.read_text()))


if __name__ == "__main__":
    settings = config.load()
    logs.configure(settings.log_level, settings.log_format)
    uvloop.run(app.run(settings, JumpingClock(Path(os.environ["JUMP_FILE"]))))
