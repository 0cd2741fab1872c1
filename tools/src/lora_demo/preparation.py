"""Everything slow that the demo needs, made once per machine, side by side."""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from local_cluster import Mode, binaries, preflight
from local_cluster.layout import cache_root
from lora_demo.place import ROOT

TWO_PODS = preflight.Need("two pods with vLLM on CPU", disk=4, memory=9)
_THREE_PODS = preflight.Need("three pods with vLLM on CPU", disk=4, memory=12)
FROM_NOTHING = preflight.Need("building the cluster's programs, the images and the model", disk=18, memory=4)


_LOG_EVERY_SECONDS = 30.0


class PreparationError(Exception):
    """A preparation failed; the message holds the end of what it printed."""


@dataclass
class Job:
    """A command of the project that prepares something."""

    what: str
    module: str
    arguments: tuple[str, ...] = ()
    lines: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    stopped: bool = False

    @property
    def last_line(self) -> str:
        """What it printed last."""
        return self.lines[-1] if self.lines else ""

    def run(self) -> str:
        """Runs it to its end; returns the last line of its stdout.

        Raises:
            PreparationError: it failed.
        """
        if self.stopped:
            raise PreparationError(f"{self.what} was not begun: another preparation failed")
        command = [sys.executable, "-m", self.module, *self.arguments]
        with subprocess.Popen(
            command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=1
        ) as process:
            self.process = process
            assert process.stdout is not None  # noqa: S101  # a pipe was asked for
            for line in process.stdout:
                if text := line.strip():
                    self.lines.append(text)
        if process.returncode != 0:
            end = "\n  ".join(self.lines[-15:])
            raise PreparationError(
                f"{self.what} failed with status {process.returncode}; run it alone with "
                f"`.venv/bin/python -m {self.module} {' '.join(self.arguments)}`:\n  {end}"
            )
        return self.last_line

    def stop(self) -> None:
        """Ends it early, or keeps it from beginning; what it made so far is found again by the next run."""
        self.stopped = True
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()


@dataclass(frozen=True)
class Prepared:
    """What was made."""

    model_folder: str
    operator_image: str
    runtime_image: str


def prepare(console: Console, *, full_image: bool = False, running: bool = False) -> Prepared:
    """Makes what is missing; a few seconds when all is there.

    Args:
        console: where progress is shown.
        full_image: the runtime image with vLLM in it (6 GB) instead of the thin one.
        running: the demo is up already, and has its memory.

    Raises:
        ClusterError: there is too little disk or memory.
        PreparationError: something failed; what was made stays.
    """
    if not running:
        preflight.check_room(_THREE_PODS, cache_root())
    programs = (*binaries.needed_by(Mode.NODE), "helm")
    if not all(binaries.path_of(name, cache_root()).exists() for name in programs):
        preflight.check_room(FROM_NOTHING, cache_root())
    model = Job("language model", "lora_examples.base_model")
    operator = Job("operator image", "local_images", ("operator",))
    runtime = Job("runtime image", "local_images", ("runtime-cpu" if full_image else "runtime-thin",))
    lanes = [
        [Job("Kubernetes programs", "local_cluster", ("binaries", "--only", ",".join(programs)))],
        # The images share one build store, so they take turns; the model is quick and waits for a core.
        [operator, runtime, model],
    ]
    if console.is_terminal:
        columns = (SpinnerColumn(), TextColumn("{task.description:<20}"), BarColumn(20), TimeElapsedColumn())
        bars = Progress(*columns, TextColumn("[dim]{task.fields[last]}"), console=console)
        with bars:
            _run_lanes(lanes, lambda job: _Bar(bars, job))
    else:
        _run_lanes(lanes, lambda job: _Lines(console, job))
    return Prepared(model.last_line, operator.last_line, runtime.last_line)


class _Bar:
    """A row that moves, for a terminal."""

    def __init__(self, bars: Progress, job: Job) -> None:
        self._bars, self._job = bars, job
        self._row = bars.add_task(job.what, total=None, last="")

    def look(self) -> None:
        self._bars.update(self._row, last=escape(self._job.last_line[-70:]))

    def end(self, *, failed: bool) -> None:
        self._bars.update(self._row, total=1, completed=1, last="[red]failed" if failed else "")


class _Lines:
    """A line now and then, for a log."""

    def __init__(self, console: Console, job: Job) -> None:
        self._console, self._job = console, job
        self._began = self._told = time.monotonic()
        console.print(f"… {job.what}")

    def look(self) -> None:
        if time.monotonic() - self._told > _LOG_EVERY_SECONDS:
            self._told = time.monotonic()
            self._console.print(f"… {self._job.what}: {escape(self._job.last_line[-100:])}", soft_wrap=True)

    def end(self, *, failed: bool) -> None:
        mark = "✗" if failed else "✓"
        self._console.print(f"{mark} {self._job.what} ({time.monotonic() - self._began:.0f} s)")


def _run_lanes(lanes: list[list[Job]], show: Callable[[Job], _Bar | _Lines]) -> None:
    """Runs lanes side by side, the jobs of each in order; the first failure ends all."""
    with ThreadPoolExecutor(len(lanes)) as pool:
        futures = [pool.submit(_run_lane, lane, show) for lane in lanes]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            for job in (job for lane in lanes for job in lane):
                job.stop()
            raise


def _run_lane(lane: list[Job], show: Callable[[Job], _Bar | _Lines]) -> None:
    for job in lane:
        shown = show(job)
        with ThreadPoolExecutor(1) as worker:
            work = worker.submit(job.run)
            while not work.done():
                shown.look()
                time.sleep(0.2)
        shown.end(failed=work.exception() is not None)
        work.result()
