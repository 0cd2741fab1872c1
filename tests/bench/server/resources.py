"""Memory and open files of a server's processes, sampled while it runs."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_EVERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the processes of a server."""

    at: float
    """Monotonic seconds."""
    swaps: int
    """Done so far."""
    memory_mib: dict[str, float]
    """Resident memory by process."""
    files: dict[str, int]
    """Open files by process."""
    cpu_seconds: dict[str, float]
    """Used since its start, by process."""

    @property
    def total_mib(self) -> float:
        """Of all processes; pages that they share count more than once."""
        return sum(self.memory_mib.values())

    @property
    def total_files(self) -> int:
        """Of all processes."""
        return sum(self.files.values())


class Sampler:
    """Samples until it is cancelled."""

    def __init__(self, pid: int) -> None:
        """Takes the server's first process."""
        self._first = psutil.Process(pid)
        self.samples: list[Sample] = []
        self.swaps = 0
        """Set by who swaps."""

    async def run(self) -> None:
        """Looks every two seconds."""
        while True:
            self.samples.append(await asyncio.to_thread(self.look))
            await asyncio.sleep(SAMPLE_EVERY_SECONDS)

    def look(self) -> Sample:
        """One look."""
        memory, files, cpu = {}, {}, {}
        for process in (self._first, *self._first.children(recursive=True)):
            try:
                name = "server" if process == self._first else process.name().removeprefix("VLLM::")
                if name.startswith(("EngineCore", "Worker", "server")):
                    memory[name] = process.memory_info().rss / 2**20
                    files[name] = process.num_fds()
                    times = process.cpu_times()
                    cpu[name] = times.user + times.system
            except psutil.Error:
                continue
        return Sample(time.monotonic(), self.swaps, memory, files, cpu)


def folder_mib(folder: Path) -> float:
    """Size of the files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20
