"""A pod whose model is a mixture, and X-LoRAs in a volume for it, each with what PEFT answers."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import torch

from lora_api.mixture_api import MixtureExpert, MixtureReport, MixtureSpec, MixtureState, UntrainedClassifier
from lora_api.runtime_api import Desired, Inventory
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import VolumeSource
from lora_api.v1alpha1.mixture import MixtureConfig
from lora_runtime.mixture import scalings
from lora_runtime.mixture.classifier import shape_of, untrained
from lora_runtime.mixture.options import Options
from lora_runtime.store.digest import digest_of
from support import mixtures
from support.mixture_process import Completion, farthest, read_completion
from support.runtime_process import RuntimeProcess

if TYPE_CHECKING:
    from peft import PeftModel

VOLUME = "mixtures"
CONFIG = MixtureConfig(
    layerwise_scalings=True,
    softmax_temperature=0.7,
    top_k=2,
    enable_softmax_topk=True,
    global_scaling_weight=1.5,
    scaling_pass_value=0.4,
)
"""As mixtures.EVERY_OPTION, in the words of the custom resource."""
SAME = 1e-5
"""Log-probabilities nearer than this are those of one mixture."""
OTHER = 1e-2
"""And farther than this, those of another."""


def from_volume(path: str) -> AdapterSource:
    return AdapterSource(volume=VolumeSource(name=VOLUME, path=path))


def trained(revision: str, path: str) -> MixtureSpec:
    """The X-LoRA in a folder of the volume, not pinned yet."""
    return MixtureSpec(revision=revision, source=from_volume(path))


def of_adapters(revision: str, volumes: Path, experts: Sequence[tuple[str, float]], seed: int) -> MixtureSpec:
    """Adapters in the volume with their weights, and a classifier that has learnt nothing."""
    return MixtureSpec(
        revision=revision,
        experts=tuple(
            MixtureExpert(
                name=path.replace("/", "-"),
                source=from_volume(path),
                digest=digest_of(volumes / VOLUME / path),
                weight=weight,
            )
            for path, weight in experts
        ),
        classifier=UntrainedClassifier(depth=3, size=32, seed=seed),
        config=CONFIG,
    )


def untrained_in_peft(base: Path, experts: Sequence[tuple[Path, float]], seed: int, scratch: Path) -> PeftModel:
    """What `of_adapters` describes, in PEFT: weights are in the adapters' alpha there."""
    places = []
    for number, (place, weight) in enumerate(experts):
        copy = shutil.copytree(place, scratch / str(number))
        config = json.loads((copy / "adapter_config.json").read_bytes())
        (copy / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": config["lora_alpha"] * weight}))
        places.append(copy)
    model = mixtures.in_peft(base, places, **mixtures.EVERY_OPTION)
    classifier: Any = model.base_model.internal_xlora_classifier
    linears = [layer for layer in classifier.layers if isinstance(layer, torch.nn.Linear)]
    options = Options.model_validate({"hidden_size": linears[0].in_features, **mixtures.EVERY_OPTION})
    layers = linears[-1].out_features // len(experts)
    made = untrained(shape_of(options, experts=len(experts), layers=layers), seed)
    with torch.no_grad():
        for linear, ours in zip(linears, made, strict=True):
            linear.weight.copy_(ours.weight)
            linear.bias.copy_(ours.bias)
    return model


@dataclass
class MixturePod:
    """The pod, and the words to say to it."""

    runtime: RuntimeProcess
    volumes: Path
    name: str = "base"
    sequence: int = 0
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60))

    def until_the_admin_port_answers(self) -> None:
        """It does long before there is anything to serve."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                assert self.runtime.inventory().mixture is None
            except httpx.TransportError:
                time.sleep(0.2)
            else:
                return
        raise AssertionError(self.runtime.tail())

    def want(self, spec: MixtureSpec | None) -> None:
        """Makes it the goal."""
        self.sequence += 1
        self.runtime.put(Desired(sequence=self.sequence, mixture=spec))

    def serve(self, spec: MixtureSpec) -> MixtureReport:
        """Waits until it answers."""
        self.want(spec)
        return self.until(lambda report: report.revision == spec.revision and report.state is MixtureState.SERVING)

    def until(self, holds: Callable[[MixtureReport], bool], seconds: float = 60) -> MixtureReport:
        """Follows the inventory until the report is as described."""
        deadline = time.monotonic() + seconds
        inventory: Inventory = self.runtime.inventory()
        while inventory.mixture is None or not holds(inventory.mixture):
            assert time.monotonic() < deadline, f"still {inventory.mixture}\n{self.runtime.tail()}"
            inventory = self.runtime.inventory(after=inventory.etag, wait_seconds=5)
        return inventory.mixture

    def post(self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
        return self.http.post(f"{self.runtime.url}{path}", json=body, headers=headers)

    def scalings(self, request_id: str) -> dict[str, Any]:
        """Of an answer that is kept."""
        answer = self.http.get(f"{self.runtime.url}/v1/xlora/scalings/{request_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def completion(self, prompt: Sequence[int], n: int) -> dict[str, Any]:
        """What asks for a greedy answer of `n` tokens, with log-probabilities."""
        return {
            "model": self.name, "prompt": list(prompt), "max_tokens": n, "temperature": 0, "ignore_eos": True,
            "return_token_ids": True, "logprobs": 5, "return_tokens_as_token_ids": True,
        }  # fmt: skip

    def complete(self, prompt: Sequence[int], n: int, client: httpx.Client | None = None) -> Completion:
        """See `completion`."""
        answer = (client or self.http).post(f"{self.runtime.url}/v1/completions", json=self.completion(prompt, n))
        answer.raise_for_status()
        [choice] = answer.json()["choices"]
        return read_completion(choice)


def whose(found: Completion, expected: dict[str, mixtures.Answer]) -> list[str]:
    """The revisions that give this very answer, of all that were ever served."""
    return [
        name for name, answer in expected.items() if found.tokens == answer.tokens and farthest(found, answer) < SAME
    ]


def agree(told: dict[str, Any], expected: mixtures.Answer, prompt_tokens: int) -> None:
    """Fails unless one generation's scalings are what PEFT predicts and then applies, as near as float16 is."""
    found = np.frombuffer(base64.b64decode(told["scalings"]), np.float16).reshape(told["shape"])
    assert told["promptTokens"] == prompt_tokens
    assert told["tokens"][prompt_tokens:] == list(expected.tokens[:-1])
    assert (told["experts"], len(told["layers"])) == (["e0", "e1", "e2"], found.shape[1])
    options = Options.model_validate({"hidden_size": 1, **mixtures.EVERY_OPTION})
    applied = scalings.applied(expected.scalings, options).numpy()
    assert found.shape == applied.shape
    assert float(np.abs(found - applied).max()) < 1e-3
    assert float(np.abs(found[1:] - applied[:-1]).max()) > 1e-2, "a row too early would be seen"
