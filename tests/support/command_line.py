"""`kubectl lora` as a user runs it: a process of its own, with a kubeconfig."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_cli.errors import INTERRUPTED

_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and what it ended with."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What it printed for programs."""
        assert self.out, self.err
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A shell of somebody who works in one namespace."""

    kubeconfig: Path
    namespace: str
    """Empty where there is no cluster."""
    more: Mapping[str, str] = field(default_factory=dict)
    """Further variables of its environment."""

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), **self.more}

    @property
    def _place(self) -> tuple[str, ...]:
        return ("-n", self.namespace) if self.namespace else ()

    def __call__(self, *words: str, stdin: str = "") -> Said:
        """Runs a command to its end, whatever that is."""
        done = subprocess.run(
            [sys.executable, "-m", "lora_cli", *words, *self._place],
            env=self.environment,
            input=stdin.encode(), capture_output=True, timeout=_SECONDS,
        )  # fmt: skip
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    def does(self, *words: str, stdin: str = "") -> str:
        """What a command prints that must succeed."""
        said = self(*words, stdin=stdin)
        assert said.status == 0, f"{' '.join(words)} ended with {said.status}:\n{said.out}\n{said.err}"
        return said.out

    @contextmanager
    def watching(self, *words: str) -> Iterator[Callable[[], str]]:
        """Runs a command that stays, and tells what it has printed; interrupts it afterwards, as a user would."""
        with tempfile.TemporaryFile("w+b") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "lora_cli", *words, *self._place],
                env=self.environment,
                stdout=output, stderr=output,
            )  # fmt: skip

            def printed() -> str:
                return os.pread(output.fileno(), 1 << 20, 0).decode()

            try:
                yield printed
            finally:
                process.send_signal(signal.SIGINT)
                ended = process.wait(timeout=30)
            assert ended == INTERRUPTED, printed()

    def completions(self, *words: str) -> list[str]:
        """What kubectl would offer for the last of these words."""
        done = subprocess.run(
            [sys.executable, "-m", "lora_cli.kubectl_completion", *words],
            env=self.environment,
            capture_output=True, text=True, timeout=_SECONDS, check=True,
        )  # fmt: skip
        *offered, _ = done.stdout.splitlines()
        return offered


def address_in(printed: Callable[[], str]) -> str:
    """Where the page of `ui` is, as soon as it has said so."""
    deadline = time.monotonic() + _SECONDS
    while (found := re.search(r"http://\S+", printed())) is None:
        assert time.monotonic() < deadline, printed()
        time.sleep(0.05)
    return found[0]
