"""The node of pods that the controller manager makes: each runs as a process of the version that its image names."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lora_api.runtime_api import CONFIG_MAP_KEY, Desired
from lora_operator.domain import render
from support.mounted_secret import write_mounted
from support.operated import Team
from support.versions import NOW, Version

_PROGRAM = Path(__file__).with_name("pod_of_a_version.py")
_GRACE_SECONDS = 15.0

Served = Mapping[str, str]
"""Revisions by served name."""


@dataclass(slots=True)
class RunningPod:
    """A pod whose process was started."""

    name: str
    version: Version
    ip: str
    waits_for: frozenset[str]
    """What it must serve before it is ready: the names in the document that it found mounted."""
    process: subprocess.Popen[bytes]
    folder: Path
    ready: bool = False

    @property
    def journal(self) -> list[Served]:
        """What clients could reach in it, from its start on."""
        path = self.folder / "journal"
        # The last piece is empty, or a line that is being written.
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def end(self) -> None:
        """Asks it to end. Those of earlier versions may wait for the other side of each connection, and are ended then."""
        self.process.terminate()
        try:
            self.process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            if self.version == NOW:
                raise

    def tell(self) -> None:
        """Writes its log to where a failed test shows it."""
        sys.stderr.write(f"--- pod {self.name}:\n{(self.folder / 'log').read_text(errors='replace')}")

    @property
    def serves(self) -> Served:
        """What clients can reach in it."""
        return journal[-1] if (journal := self.journal) else {}


class SmallKubelet:
    """Has the pods of the model `smol` run while it is entered, as far as `catch_up` is called."""

    def __init__(self, team: Team, folder: Path, *versions: Version) -> None:
        self._team = team
        self._folder = folder
        self._versions = {version.image: version for version in versions}
        self.pulled = {version.image for version in versions}
        """Images that are there; pods of others wait."""
        self.pods: dict[str, RunningPod] = {}
        self.all_pods: list[RunningPod] = []
        """Those that have ended, too."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as ends:
            for pod in self.all_pods:
                ends.callback(pod.tell)
                ends.callback(pod.end)

    def catch_up(self) -> list[RunningPod]:
        """Starts pods that are new, ends those that are gone, says which are ready; the pods that run now."""
        wanted = {pod.metadata.name: pod for pod in self._team.pods() if pod.metadata.deletion_timestamp is None}
        for name in self.pods.keys() - wanted.keys():
            self.pods.pop(name).end()
        for name, manifest in wanted.items():
            if name not in self.pods and manifest.spec.containers[0].image in self.pulled:
                started = self._start(manifest)
                if started is not None:
                    self.pods[name] = started
                    self.all_pods.append(started)
        for name, pod in self.pods.items():
            assert pod.process.poll() is None, f"{name} ended:\n{(pod.folder / 'log').read_text(errors='replace')}"
            if not pod.ready and pod.journal and pod.waits_for <= pod.serves.keys():
                self._team.play_ready(wanted[name], pod.ip)
                pod.ready = True
        return list(self.pods.values())

    def _start(self, manifest: Any) -> RunningPod | None:
        folder = self._folder / manifest.metadata.name
        volumes = {volume.name: volume for volume in manifest.spec.volumes}
        certificate = self._secret(volumes["certificate"].secret)
        if certificate is None:
            return None
        write_mounted(folder / "tls", certificate)
        document = self._document(volumes["desired"].config_map.name)
        (folder / CONFIG_MAP_KEY).write_bytes(document)
        waits_for = frozenset(entry.name for entry in Desired.unpacked(document).adapters if entry.serve)
        version, ip = self._versions[manifest.spec.containers[0].image], f"127.0.1.{len(self.all_pods) + 1}"
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", str(_PROGRAM), str(version.root), ip, str(render.ADMIN_PORT),
                 str(folder / "tls"), str(folder / "store"), str(folder / CONFIG_MAP_KEY), str(folder / "journal")],
                env=os.environ | {"PYTHONPATH": version.python_path}, stdout=log, stderr=log,
            )  # fmt: skip
        return RunningPod(manifest.metadata.name, version, ip, waits_for, process, folder)

    def _secret(self, source: Any) -> dict[str, bytes] | None:
        secret = self._team.find(self._team.core.read_namespaced_secret, source.secret_name)
        if secret is None:
            return None
        paths = {item.key: item.path for item in source.items or ()} or {key: key for key in secret.data}
        if not paths.keys() <= secret.data.keys():
            return None
        return {path: base64.b64decode(secret.data[key]) for key, path in paths.items()}

    def _document(self, name: str) -> bytes:
        found = self._team.find(self._team.core.read_namespaced_config_map, name)
        return Desired().packed() if found is None else base64.b64decode(found.binary_data[CONFIG_MAP_KEY])
