"""One real vLLM with the tiny base, shared by the tests of this folder: they speak to it as clients and operator do."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from lora_api.runtime_api import (
    AdapterFacts,
    Desired,
    DesiredAdapter,
    Inventory,
    Part,
    ResolveRequest,
    ResolveResponse,
    ResolveState,
    RevisionSpec,
)  # fmt: skip
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from support.models import greedy, tiny_adapter, tiny_base
from support.runtime_process import RuntimeProcess, start_runtime

PROMPT = (17, 42, 99, 7, 250, 301, 12, 5)
TOKENS = 12
SECONDS = 30.0
IDLE_SECONDS = 2.0
"""Connections idle for longer are not used again: the server closes them after five seconds, perhaps just now."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.engine)


@dataclass
class World:
    """The runtime, its volumes, and the words to say to it."""

    runtime: RuntimeProcess
    volumes: Path
    sequence: int = 0
    http: httpx.Client = field(
        default_factory=lambda: httpx.Client(
            timeout=60, limits=httpx.Limits(max_connections=None, keepalive_expiry=IDLE_SECONDS)
        )
    )
    """One for all: to make one takes longer than most requests."""

    @property
    def base(self) -> Path:
        return self.volumes / "models" / "base"

    @property
    def store(self) -> Path:
        """The runtime's own folder."""
        return self.pod / "store"

    @property
    def pod(self) -> Path:
        """The folder of the runtime's files; mounted Secrets lie in it."""
        return self.runtime.log.parent

    def close(self) -> None:
        self.http.close()

    def adapter(self, name: str) -> Path:
        return self.volumes / "adapters" / name

    def ask(self, source: AdapterSource) -> ResolveResponse:
        """Asks the runtime to find, pin and check a source."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            answer = httpx.post(
                f"{self.runtime.admin_url}/v1/resolve",
                params={"wait": 10},
                content=ResolveRequest(source=source).canonical(),
                headers={"content-type": "application/json"},
                timeout=20,
            ).raise_for_status()
            response = ResolveResponse.model_validate_json(answer.content)
            if response.state is not ResolveState.FETCHING:
                return response
        raise AssertionError("the source was not resolved in time")

    def facts(self, name: str) -> AdapterFacts:
        response = self.ask(AdapterSource(volume=VolumeSource(name="adapters", path=name)))
        assert response.facts is not None, response
        return response.facts

    def spec(self, *parts: tuple[str, float], precision: Precision = Precision.AUTO) -> RevisionSpec:
        """The recipe of a weighted sum of adapters in the volume."""
        facts = [(self.facts(name), weight) for name, weight in parts]
        made = tuple(Part(source=f.source, digest=f.digest, weight=weight) for f, weight in facts)
        return RevisionSpec.of(made, BlendMethod.CONCAT, precision)

    def declare(self, *adapters: DesiredAdapter) -> Inventory:
        """Makes these served names, and no others, the goal."""
        self.sequence += 1
        ordered = tuple(sorted(adapters, key=lambda a: a.name))
        return self.runtime.put(Desired(sequence=self.sequence, adapters=ordered))

    def serve(self, **specs: RevisionSpec) -> None:
        """Declares names with their recipes and waits until each is served and the old ones are gone."""
        self.declare(*(DesiredAdapter(name=name, uid=name, serve=spec) for name, spec in specs.items()))
        want = {(name, spec.revision, "Serving") for name, spec in specs.items()}
        self.until(lambda found: states(found) == want)

    def until(self, holds: Callable[[Inventory], bool], seconds: float = SECONDS) -> Inventory:
        """Follows the inventory until it is as described."""
        deadline = time.monotonic() + seconds
        inventory = self.runtime.inventory()
        while not holds(inventory):
            assert time.monotonic() < deadline, f"still {states(inventory)}\n{self.runtime.tail()}"
            inventory = self.runtime.inventory(after=inventory.etag, wait_seconds=5)
        return inventory

    def complete(self, model: str, prompt: tuple[int, ...] = PROMPT, **options: object) -> httpx.Response:
        """One greedy completion of exactly TOKENS tokens."""
        return self.http.post(f"{self.runtime.url}/v1/completions", json=self.completion(model, prompt, **options))

    @staticmethod
    def completion(model: str, prompt: tuple[int, ...] = PROMPT, **options: object) -> dict[str, object]:
        """What asks for it."""
        return {
            "model": model,
            "prompt": list(prompt),
            "max_tokens": TOKENS,
            "temperature": 0,
            "ignore_eos": True,
            "return_token_ids": True,
            **options,
        }

    def tokens(self, model: str, prompt: tuple[int, ...] = PROMPT) -> list[int]:
        answer = self.complete(model, prompt)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["choices"][0]["token_ids"])

    def reference(self, *parts: tuple[str, float], prompt: tuple[int, ...] = PROMPT) -> list[int]:
        """What PEFT in float32 answers."""
        return greedy(self.base, [(self.adapter(name), weight) for name, weight in parts], prompt, TOKENS)


def states(inventory: Inventory) -> set[tuple[str, str, str]]:
    return {(a.name, r.revision, r.state.value) for a in inventory.adapters for r in a.revisions}


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("runtime")
    volumes = folder / "volumes"
    base = tiny_base(volumes / "models" / "base")
    tiny_adapter(volumes / "adapters" / "a", base, seed=1)
    tiny_adapter(volumes / "adapters" / "b", base, seed=2, r=4, target_modules=("k_proj", "o_proj", "down_proj"))
    tiny_adapter(volumes / "adapters" / "rs", base, seed=3, use_rslora=True)
    environment = {
        # A variable that turns vLLM's /metrics into something else: what is in a pod's environment must not hide ours.
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "prometheus"),
        "LORA_COMPOSITION": '{"maxKept": 3, "perMinute": 40}',
        # The servers of tests are on loopback, which only an administrator can allow.
        "LORA_EGRESS": '{"allowedAddresses": ["127.0.0.0/8"]}',
    }
    (folder / "prometheus").mkdir()
    runtime = start_runtime(folder / "pod", volumes=volumes, environment=environment)
    try:
        runtime.wait_until_ready()
        with closing(World(runtime, volumes)) as made:
            yield made
    finally:
        runtime.stop()
