"""Blends that have to be computed are computed in a process of their own.

That process yields to the engine, gives all its memory back, can be ended when nobody wants the blend any longer, and has
the random state and the arithmetic for itself: one thread and one instruction set give the same bytes on every pod of
one architecture. Whoever serves never imports PEFT.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lora_api.runtime_api import Refusal, RevisionSpec
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_api.wire import Digest
from lora_runtime.adapters.blend import Files, publish
from lora_runtime.adapters.errors import Refused
from lora_runtime.store.disk import disk_refused

_NICENESS = 10
_REFUSED = 3
"""Exit status when the refusal stands on the standard output."""
_SHOWN_AT_MOST = 500
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # the same results whichever instructions a CPU has
    "MKL_CBWR": "COMPATIBLE",
    "ATEN_CPU_CAPABILITY": "default",
    # devices are the engine's
    "CUDA_VISIBLE_DEVICES": "",
}


class _Job(BaseModel):
    """What the process is told."""

    model_config = ConfigDict(frozen=True)

    spec: RevisionSpec
    files: dict[Digest, Files]
    made: Path


class BlendProcess:
    """The process for one blend."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._unwanted = False

    def stop(self) -> None:
        """Ends it; `publish` then raises Refused."""
        self._unwanted = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def publish(self, spec: RevisionSpec, files: Mapping[Digest, Files], made: Path) -> None:
        """Writes a revision into a folder; see adapters/blend.py.

        Args:
            spec: What to make.
            files: Those of all its leaves.
            made: Empty, inside the store.

        Raises:
            Refused: a value does not fit the precision, the disk is full, or the process was ended.
        """
        job = _Job(spec=spec, files=dict(files), made=made)
        # Not by the loop: uvloop forks this process with all that it has, while no thread of it goes on.
        self._process = process = subprocess.Popen(  # noqa: ASYNC220  # which takes a millisecond or two
            [sys.executable, "-m", "lora_runtime.store.blending"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | _ENVIRONMENT,
        )
        if self._unwanted:
            process.kill()
        out, err = await asyncio.to_thread(process.communicate, job.model_dump_json().encode())
        if process.returncode == _REFUSED:
            raise Refused(Refusal.model_validate_json(out.splitlines()[-1]))
        if process.returncode != 0:
            raise _ended(process.returncode or 0, err.decode(errors="replace"))


def _ended(status: int, said: str) -> Refused:
    if status < 0:
        why = (
            f"signal {-status}; if the pod has no memory left, raise spec.resources of the LoRAModel or use method SVD"
        )
    else:
        why = f"status {status}: {said.strip()[-_SHOWN_AT_MOST:]}"
    message = f"the process that computes the blend ended with {why}"
    return Refused(
        Refusal(condition=AdapterCondition.COMPATIBLE, reason=Reason.LOAD_FAILED, message=message, retryable=True)
    )


def main() -> int:
    """Does the job on the standard input."""
    os.nice(_NICENESS)
    job = _Job.model_validate_json(sys.stdin.buffer.read())
    try:
        with disk_refused(job.made):
            publish(job.spec, job.files, job.made)
    except Refused as refused:
        sys.stdout.write(refused.refusal.model_dump_json() + "\n")
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
