"""One cluster: brought up, looked at, taken down."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from local_cluster import (
    binaries,
    bringup,
    commands,
    images,
    leftovers,
    locking,
    preflight,
    processes,
    records,
)
from local_cluster.addresses import AddressPlan
from local_cluster.errors import ClusterError
from local_cluster.layout import Layout, Mode, Record, cache_root, checked_name, runtime_root
from local_cluster.progress import Progress, Silence

_KUBECTL_SECONDS = 300


@dataclass(frozen=True)
class Status:
    """How a cluster is."""

    record: Record | None
    """None if it does not exist."""
    components: dict[str, int | None]
    """The pid of each component it should have; None for one that does not run."""
    ready: bool
    """Whether the API server answers and, in node mode, the node is Ready."""


class Cluster:
    """A local Kubernetes by its name. Root is needed for a node, not for `Mode.API_ONLY`."""

    def __init__(
        self,
        name: str,
        mode: Mode = Mode.NODE,
        *,
        audit: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Makes the handle; nothing is started or read.

        Args:
            name: 1 to 32 of a-z, 0-9, '-'; also the node's name.
            mode: how much of Kubernetes to run.
            audit: write every request that the API server gets to `audit_log`.
            progress: who is told what is being done; nobody by default.
        """
        self.name = checked_name(name)
        self.mode = mode
        self._audit = audit
        self._progress: Progress = progress or Silence()
        self._root = runtime_root()

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def up(self) -> bool:
        """Brings the cluster up, or back up; whether anything had to be done.

        Whatever a killed run left is healed: a cluster that was up once keeps its objects, any other is made
        anew.
        Returns when the API server is ready, pods can be made, and (node mode) the node is Ready.

        Raises:
            ClusterError: the machine lacks something, the name is of the other mode, or a component failed.
        """
        with self._locked():
            record = records.read(self._root, self.name)
            if record is not None and record.mode is not self.mode:
                raise ClusterError(
                    f"cluster {self.name!r} exists in {record.mode} mode: take it down first with "
                    f"`python -m local_cluster down --name {self.name}`"
                )
            if record is not None and self._status_of(record).ready:
                return False
            preflight.check_cluster(self.mode, cache_root(), self._progress)
            programs = binaries.ensure(binaries.needed_by(self.mode), cache_root(), self._progress)
            if record is None or not record.complete or not bringup.is_prepared(Layout(record, self._root)):
                self._remove()
                record = self._create()
            bringup.Start(Layout(record, self._root), programs, self._progress)()
            records.write(self._root, record.model_copy(update={"complete": True}))
            return True

    def down(self) -> bool:
        """Ends and removes everything of the cluster, its images and data too; whether there was anything.

        Raises:
            ClusterError: a process does not die or a mount does not go; then run it again.
        """
        with self._locked():
            return self._remove()

    def status(self) -> Status:
        """How it is now."""
        record = records.read(self._root, self.name)
        return Status(None, {}, ready=False) if record is None else self._status_of(record)

    def load_image(self, archive: Path) -> list[str]:
        """Loads an image archive (docker or OCI tar) into the node; the images' names.

        Raises:
            ClusterError: it is no image archive, or the cluster is not an up node.
        """
        layout = self._layout()
        if layout.addresses is None:
            raise ClusterError(f"cluster {self.name!r} is an API server without a node: it holds no images")
        with self._progress.step(f"loading {archive.name}"):
            return images.load(layout.containerd_socket, archive)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs kubectl as the administrator; what it printed.

        Raises:
            ClusterError: it failed; the message holds what it complained about.
        """
        kubectl = binaries.ensure(["kubectl"], cache_root(), self._progress)["kubectl"]
        done = subprocess.run(
            [kubectl, f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_KUBECTL_SECONDS,
        )
        if done.returncode != 0:
            raise ClusterError(f"`kubectl {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self._layout().kubeconfig

    @property
    def api_url(self) -> str:
        """The API server's URL, as reached from this machine."""
        return self._layout().api_url

    @property
    def outside_address(self) -> str:
        """The address of this machine at which pods reach a server that runs outside the cluster."""
        return str(self._plan().outside)

    @property
    def pod_cidr(self) -> str:
        """The pods' address range, reachable from this machine."""
        return str(self._plan().pods)

    @property
    def logs(self) -> Path:
        """Folder of the components' logs."""
        return self._layout().logs

    @property
    def pod_logs(self) -> Path:
        """Folder of the containers' logs, as the kubelet keeps them."""
        return self._layout().pod_logs

    @property
    def audit_log(self) -> Path:
        """What the API server was asked, a JSON object a line (with `audit=True`)."""
        return self._layout().audit_log

    def _layout(self) -> Layout:
        record = records.read(self._root, self.name)
        if record is None:
            raise ClusterError(
                f"there is no cluster {self.name!r}: bring it up with `python -m local_cluster up --name {self.name}`"
            )
        return Layout(record, self._root)

    def _plan(self) -> AddressPlan:
        plan = self._layout().addresses
        if plan is None:
            raise ClusterError(f"cluster {self.name!r} is an API server without a node: it has no pod network")
        return plan

    @contextmanager
    def _locked(self) -> Iterator[None]:
        def waiting() -> None:
            self._progress.say(f"another process is at work on cluster {self.name}: waiting for it")

        with locking.exclusive(self._root / f"{self.name}.lock", waiting):
            yield

    def _status_of(self, record: Record) -> Status:
        layout = Layout(record, self._root)
        running = processes.components(processes.owned(bringup.owner_of(layout)))
        expected = {name: running.get(name) for name in commands.component_names(record.mode)}
        if not record.complete or None in expected.values():
            return Status(record, expected, ready=False)
        with bringup.probe(layout) as api:
            ready = api.answers() and (layout.addresses is None or api.node_is_ready())
        return Status(record, expected, ready)

    def _create(self) -> Record:
        with self._progress.step(f"preparing cluster {self.name}"):
            record = bringup.allocate(self._root, self.name, self.mode, self._default_state(), audit=self._audit)
            bringup.prepare(Layout(record, self._root))
        return record

    def _default_state(self) -> Path:
        return cache_root() / "clusters" / self.name

    def _remove(self) -> bool:
        # Without a record there may still be what a run that was killed at the wrong moment left.
        record = records.read(self._root, self.name) or Record(
            name=self.name, mode=self.mode, state=self._default_state(), index=None
        )
        layout = Layout(record, self._root)
        if not leftovers.any_of(layout, bringup.owner_of(layout)):
            return False
        with self._progress.step(f"removing cluster {self.name}"):
            leftovers.remove(layout, bringup.owner_of(layout))
        return True
