"""Everything slow that the demo needs, made once per machine, side by side."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from local_cluster import binaries, preflight
from local_cluster.layout import cache_root
from lora_demo.place import ROOT

TWO_PODS = preflight.Need("two pods with vLLM on CPU", disk=4, memory=9)
FROM_NOTHING = preflight.Need("building the cluster's programs, the images and the model", disk=18, memory=4)


class PreparationError(Exception):
    """A preparation failed; the message holds the end of what it printed."""


@dataclass
class Job:
    """A command of the project that prepares something."""

    what: str
    module: str
    arguments: tuple[str, ...] = ()
    lines: list[str] = field(default_factory=list)

    @property
    def last_line(self) -> str:
        """What it printed last."""
        return self.lines[-1] if self.lines else ""

    def run(self) -> str:
        """Runs it to its end; returns the last line of its stdout.

        Raises:
            PreparationError: it failed.
        """
        command = [sys.executable, "-m", self.module, *self.arguments]
        with subprocess.Popen(
            command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=1
        ) as process:
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
        preflight.check_room(TWO_PODS, cache_root())
    if not all(binaries.path_of(name, cache_root()).exists() for name in binaries.KNOWN):
        preflight.check_room(FROM_NOTHING, cache_root())
    model = Job("language model", "lora_examples.base_model")
    operator = Job("operator image", "local_images", ("operator",))
    runtime = Job("runtime image", "local_images", ("runtime-cpu" if full_image else "runtime-thin",))
    lanes = [
        [Job("Kubernetes programs", "local_cluster", ("binaries",))],
        # The images share one build store, so they take turns; the model is quick and waits for a core.
        [operator, runtime, model],
    ]
    columns = (SpinnerColumn(), TextColumn("{task.description:<20}"), BarColumn(20), TimeElapsedColumn())
    progress = Progress(*columns, TextColumn("[dim]{task.fields[last]}"), console=console)
    with progress as shown, ThreadPoolExecutor(len(lanes)) as pool:
        for future in [pool.submit(_run_lane, lane, shown) for lane in lanes]:
            future.result()
    return Prepared(model.last_line, operator.last_line, runtime.last_line)


def _run_lane(lane: list[Job], shown: Progress) -> None:
    for job in lane:
        row = shown.add_task(job.what, total=None, last="")
        with ThreadPoolExecutor(1) as worker:
            work = worker.submit(job.run)
            while not work.done():
                shown.update(row, last=job.last_line[-70:])
                time.sleep(0.2)
        shown.update(row, total=1, completed=1, last="" if work.exception() is None else "[red]failed")
        work.result()
