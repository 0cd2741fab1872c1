"""The operator's process, which is killed and comes back."""

import signal
import subprocess
import sys
import threading
import time
import urllib.request

from chaos.excuses import OPERATOR, Excuses
from support.operated import Operator

_DEATH, _PAUSE = "death", "pause"


class OperatorProcess:
    """Runs until it is killed, and again half a second later."""

    def __init__(self, operator: Operator, excuses: Excuses) -> None:
        self._operator, self._excuses = operator, excuses
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self.deaths = 0
        """How often it ended by itself."""
        self._killed = False
        self._closed = threading.Event()
        self._well = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def kill(self) -> bool:
        """SIGKILL, if it is there."""
        self._excuses.begin(OPERATOR, _DEATH)
        self._well, process = False, self._process
        if process is None or process.poll() is not None:
            return False
        self._killed = True
        process.kill()
        return True

    def pause(self) -> None:
        """It stands still."""
        self._excuses.begin(OPERATOR, _PAUSE)
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
        self._excuses.end(OPERATOR, _PAUSE, time.monotonic())

    def close(self) -> None:
        """Ends it for good."""
        self._closed.set()
        self._thread.join(10)
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def _work(self) -> None:
        while not self._closed.wait(0.1):
            if self._process is None or self._process.poll() is not None:
                if self._process is not None:
                    self.deaths += not self._killed
                    self._closed.wait(0.5)
                self._excuses.begin(OPERATOR, _DEATH)
                self._well = self._killed = False
                # Every other start is one in the same container, which need not wait for the Lease; the others are a new pod's.
                container = {"LORA_OPERATOR_POD_UID": str(self._starts // 2)}
                self._starts += 1
                with self._operator.log.open("ab") as output:
                    self._process = subprocess.Popen(
                        [sys.executable, "-m", "lora_operator"],
                        env=self._operator.environment | container,
                        stdout=output,
                        stderr=output,
                    )
            elif not self._well and self._leads():
                self._well = True
                self._excuses.end(OPERATOR, _DEATH, time.monotonic())

    def _leads(self) -> bool:
        """Whether it is at work: one that starts waits until the Lease of the one that was killed has run out."""
        url = f"http://127.0.0.1:{self._operator.environment['LORA_OPERATOR_METRICS_PORT']}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=0.5) as answer:  # our own process
                return b"\nlora_operator_leader 1.0" in answer.read()
        except OSError:
            return False
