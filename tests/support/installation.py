"""A model with its adapters on a real API server, whose CRDs, role, operator and pods change version."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from local_cluster import Cluster
from support.condition_history import ConditionHistory, Seen
from support.custom_resources import ADAPTER, BLEND, MODEL, mutated
from support.operated import Operator, Team, eventually
from support.small_kubelet import RunningPod, SmallKubelet
from support.versions import Version

NAMES = ("formal", "pirate", "polite-pirate")
REPLICAS = 2
FORMAL = {"metadata.name": "formal", "spec.source.huggingFace.repo": "team/formal"}


class Installation:
    """One namespace; its users edit, and read what becomes of it."""

    def __init__(
        self, cluster: Cluster, team: Team, node: SmallKubelet, history: ConditionHistory, folder: Path
    ) -> None:
        self.team, self.node, self.history = team, node, history
        self._cluster, self._folder = cluster, folder
        self._installed = 0
        self._read = 0

    @contextlib.contextmanager
    def of(self, version: Version) -> Iterator[None]:
        """Puts the CRDs of a version over those that are there, then its role, and has its operator work meanwhile."""
        files = (f"--filename={version.crds / name}.yaml" for name in ("loramodels", "loraadapters"))
        self._cluster.kubectl("apply", "--server-side", *files)
        self._cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        self._installed += 1
        folder = self._folder / f"operator-{self._installed}-{version.name}"
        operator = Operator(self._cluster, self.team.namespace, folder, chart=version.chart)
        operator.environment |= {
            "PYTHONPATH": version.python_path,
            "LORA_OPERATOR_IMAGES": json.dumps({"CPU": version.image}),
        }
        authority = self.team.find(self.team.core.read_namespaced_secret, "lora-operator-ca")
        if authority is not None:
            operator.mount_ca(authority.data)
        with operator.running():
            yield

    def declare(self) -> None:
        """A model with two pods, two adapters, and a blend of them; until all is served."""
        for manifest in (mutated(MODEL, {"spec.replicas": REPLICAS}), ADAPTER, mutated(ADAPTER, FORMAL), BLEND):
            self.team.create(manifest)
        eventually("all is served", self.all_serve)
        self.news()

    def wants_pods_of(self, version: Version) -> None:
        """Waits until the operator has changed the Deployment, and the first pod of it is there."""

        def there() -> bool:
            self.node.catch_up()
            return any(pod.spec.containers[0].image == version.image for pod in self.team.pods())

        eventually(f"a pod of version {version.name}", there)

    def first_runs(self, version: Version) -> None:
        """Waits until one pod of the version is ready, of those that run; the others stay as they are."""
        self.node.pulled.add(version.image)
        eventually("the first", lambda: any(pod.ready and pod.version is version for pod in self.node.catch_up()))
        self.node.pulled.remove(version.image)

    def all_run(self, version: Version, *others: str) -> None:
        """Waits until all pods are of the version, and all is served, of adapters beside the usual ones, too."""
        self.node.pulled.add(version.image)

        def rolled() -> bool:
            pods = self.node.catch_up()
            return (
                len(pods) == len(self.team.pods()) == REPLICAS
                and all(pod.ready and pod.version is version for pod in pods)
                and self.team.condition("loramodels", "smol", "Ready") == ("True", "Serving")
                and self.all_serve(*others)
            )

        eventually(f"all pods are of version {version.name}", rolled)

    def all_serve(self, *others: str) -> bool:
        """Whether every adapter is Ready, and every ready pod really serves the revision that its status names."""
        names = (*NAMES, *others)
        ready = [pod for pod in self.node.catch_up() if pod.ready]
        statuses = {name: self.team.status("loraadapters", name) for name in names}
        served = {name: status.get("revision") for name, status in statuses.items()}
        return (
            len(ready) >= REPLICAS
            and all(self.team.condition("loraadapters", name, "Ready") == ("True", "Serving") for name in names)
            and all(pod.serves == served for pod in ready)
        )

    def reweigh(self, weight: float) -> list[RunningPod]:
        """Edits an adapter, and waits until every pod serves it and the blend anew; those pods."""
        before = {name: self.team.status("loraadapters", name)["revision"] for name in NAMES}
        self.team.patch("loraadapters", "pirate", {"spec": {"weight": weight}})

        def through() -> bool:
            now = {name: self.team.status("loraadapters", name)["revision"] for name in NAMES}
            changed = {name for name in NAMES if now[name] != before[name]}
            return changed == {"pirate", "polite-pirate"} and self.all_serve()

        eventually(f"weight {weight} is served by all pods", through)
        return [pod for pod in self.node.pods.values() if pod.ready]

    def point_at(self, repo: str) -> str:
        """Has an adapter come from somewhere else; the digest that it had."""
        before: str = self.team.status("loraadapters", "formal")["digest"]
        self.team.patch("loraadapters", "formal", {"spec": {"source": {"huggingFace": {"repo": repo}}}})
        return before

    def has_left(self, digest: str) -> bool:
        """Whether every pod serves it from elsewhere by now."""
        return self.team.status("loraadapters", "formal")["digest"] != digest and self.all_serve()

    def move(self, repo: str) -> None:
        """Has an adapter come from somewhere else, and waits until every pod serves it."""
        before = self.point_at(repo)
        eventually(f"{repo} is served by all pods", lambda: self.has_left(before))

    def news(self) -> list[Seen]:
        """What statuses have said since the last time."""
        seen = self.history.seen[self._read :]
        self._read += len(seen)
        return seen
