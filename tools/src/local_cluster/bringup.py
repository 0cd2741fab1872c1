"""The steps from nothing to a running cluster."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_cluster import (
    cgroups,
    commands,
    images,
    locking,
    network,
    node_config,
    pki,
    preflight,
    processes,
    readiness,
    records,
    unix_sockets,
)
from local_cluster.addresses import AddressPlan, free_plan
from local_cluster.layout import Layout, Mode, Record
from local_cluster.processes import Owner
from local_cluster.progress import Progress

_DEADLINE_SECONDS = 180
_API_CLIENTS = {
    Mode.API_ONLY: ("kube-controller-manager",),
    Mode.NODE: ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
}


def allocate(runtime_root: Path, name: str, mode: Mode, state: Path, *, audit: bool) -> Record:
    """Writes the record of a new cluster, with addresses or ports that nobody has."""
    # One at a time over all names, since it chooses among what is free.
    with locking.exclusive(runtime_root / ".allocation.lock"):
        record = Record(name=name, mode=mode, state=state, index=None, audit=audit)
        if mode is Mode.API_ONLY:
            api, etcd, peer = _free_ports(3)
            record = record.model_copy(update={"api_port": api, "etcd_port": etcd, "etcd_peer_port": peer})
        else:
            others = {other.index for other in records.read_all(runtime_root) if other.index is not None}
            routed = network.routed_elsewhere(AddressPlan(index) for index in others)
            record = record.model_copy(update={"index": free_plan(others, routed).index})
        records.write(runtime_root, record)
    return record


def prepare(layout: Layout) -> None:
    """Makes a new cluster's certificates, configuration files and network; nothing of them may exist yet."""
    plan = layout.addresses
    node_hosts = () if plan is None else (str(plan.node),)
    api_hosts = () if plan is None else (str(plan.node), str(plan.api_service))
    for folder in (layout.config, layout.logs, layout.pod_logs):
        folder.mkdir(parents=True)
    pki.write(layout.pki, pki.identities(layout.record.name, api_hosts, node_hosts))
    for component in _API_CLIENTS[layout.record.mode]:
        _write_kubeconfig(layout, component, layout.config / f"{component}.kubeconfig")
    plugins = Path() if plan is None else preflight.cni_plugins()
    for path, text in node_config.files(layout, plugins).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if plan is not None:
        network.create(layout.namespace, plan)
    # Last: its presence says that all of the above is whole.
    _write_kubeconfig(layout, "admin", layout.kubeconfig)


def is_prepared(layout: Layout) -> bool:
    """Whether everything that `prepare` makes is still there."""
    if not layout.kubeconfig.exists():
        return False
    return layout.addresses is None or network.intact(layout.namespace, layout.addresses)


@dataclass(frozen=True)
class Start:
    """Starts what does not run of a prepared cluster, in an order that lets each find what it needs."""

    layout: Layout
    programs: Mapping[str, Path]
    progress: Progress

    def __call__(self) -> None:
        """Returns when the API server is ready, pods can be made, and the node, if any, is Ready.

        Raises:
            ClusterError: a component ended or the deadline passed.
        """
        with probe(self.layout) as api:
            if self.layout.addresses is not None:
                cgroups.create(self.layout.cgroup)
            self._start("etcd", "containerd")
            self._start_api_server(api)
            with self.progress.step("waiting for the API server"):
                self._wait(api.answers, "the API server was ready", "etcd", "kube-apiserver")
            self._start("kube-controller-manager", "kube-scheduler")
            if self.layout.addresses is not None:
                self._start_node(api)
            with self.progress.step("waiting for the default service account"):
                self._wait(api.has_default_account, "pods could be made", "kube-apiserver", "kube-controller-manager")

    def _start_api_server(self, api: readiness.ApiProbe) -> None:
        if "kube-apiserver" not in processes.components(processes.owned(owner_of(self.layout))):
            # One that was killed is for a moment no process of ours any more, and still has its port.
            self._wait(lambda: not api.is_listened_for(), "the port of the last API server was free", "etcd")
            self._start("kube-apiserver")

    def _start_node(self, api: readiness.ApiProbe) -> None:
        layout = self.layout
        archive = layout.state / "pause.tar"
        images.write_scratch_image(archive, node_config.PAUSE_IMAGE, {"/pause": self.programs["pause"]}, ["/pause"])
        with self.progress.step("waiting for containerd"):
            self._wait(lambda: unix_sockets.listens(layout.containerd_socket), "containerd listened", "containerd")
            images.load(layout.containerd_socket, archive)
        self._start("kubelet", "kube-proxy")
        with self.progress.step("waiting for the node"):
            # The kubelet last: when it takes too long, its log is the one to show.
            self._wait(
                api.node_is_ready,
                "the node was Ready",
                "containerd",
                "kube-proxy",
                "kube-apiserver",
                "kubelet",
            )

    def _start(self, *names: str) -> None:
        owner = owner_of(self.layout)
        running = processes.components(processes.owned(owner))
        for name, command in commands.commands(self.layout, self.programs).items():
            if name in names and name not in running:
                processes.start(command, owner, self.layout.logs / f"{name}.log")

    def _wait(self, condition: Callable[[], bool], what: str, *needs: str) -> None:
        readiness.wait_until(
            condition,
            what,
            needs=needs,
            owner=owner_of(self.layout),
            logs=self.layout.logs,
            deadline_seconds=_DEADLINE_SECONDS,
        )


def owner_of(layout: Layout) -> Owner:
    """Whose the cluster's processes are."""
    return Owner(layout.owner, layout.cgroup)


@contextmanager
def probe(layout: Layout) -> Iterator[readiness.ApiProbe]:
    """Asks the cluster's API server while the block runs."""
    api = readiness.ApiProbe(layout)
    try:
        yield api
    finally:
        api.close()


def _write_kubeconfig(layout: Layout, identity: str, path: Path) -> None:
    path.touch(mode=0o600)
    path.write_text(pki.kubeconfig(layout.pki, identity, layout.api_url, layout.record.name))


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
