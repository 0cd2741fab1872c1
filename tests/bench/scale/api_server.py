"""An API server without a node, with our CRDs, for the benchmarks that need no more."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_cluster import Cluster, Mode, records
from local_cluster.layout import runtime_root

ROOT = Path(__file__).resolve().parents[3]
_PREFIX = "bench-scale-"


@contextmanager
def api_server() -> Iterator[tuple[Cluster, Path]]:
    """It and a folder while the block runs."""
    _remove_those_of_killed_runs()
    with (
        tempfile.TemporaryDirectory(prefix=_PREFIX) as folder,
        Cluster(f"{_PREFIX}{os.getpid()}", Mode.API_ONLY, audit=True) as cluster,
    ):
        cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        yield cluster, Path(folder)


def _remove_those_of_killed_runs() -> None:
    for record in records.read_all(runtime_root()):
        pid = record.name.removeprefix(_PREFIX)
        if record.name.startswith(_PREFIX) and not Path("/proc", pid).exists():
            Cluster(record.name, record.mode).down()
