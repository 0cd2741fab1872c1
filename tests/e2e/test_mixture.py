"""An X-LoRA of two adapters of a plain model, in a pod of its own: what it answers, and how it changes while it serves."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from e2e.conftest import NAMESPACE, PROMPT, READY_SECONDS, TOKENS, World, a_model, an_adapter
from support.command_line import CommandLine

NAME = "mixed"
EVENLY = {"softmaxTemperature": 10000}
"""So warm that an untrained classifier gives every expert the same: the mixture is a sum that PEFT can be asked for."""

Json = dict[str, Any]


def a_mixture(world: World, *experts: str) -> Json:
    made = a_model(world.folder, world.hub)
    made["metadata"]["name"] = NAME
    made["spec"] |= {
        "replicas": 1,
        "mixture": {
            "experts": [{"adapterRef": {"name": name}} for name in experts],
            "classifier": {"size": 16},
            "config": EVENLY,
            "scalingsKept": 4,
        },
    }
    return made


@pytest.fixture
def mixed(clean: World) -> Iterator[World]:
    """The world with adapters a and b, served by the plain model, and a mixture of both."""
    clean.apply(an_adapter("a", "a"), an_adapter("b", "b"), a_mixture(clean, "a", "b"))
    try:
        clean.kubectl("wait", "--for=condition=Ready", f"loramodel/{NAME}", f"--timeout={READY_SECONDS:.0f}s")
        yield clean
    finally:
        clean.kubectl("delete", "loramodel", NAME, "--wait")


def tokens(world: World) -> list[int]:
    address = world.kubectl("get", "service", NAME, "-o", "jsonpath={.spec.clusterIP}")
    body = {"model": NAME, "prompt": list(PROMPT), "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
    answer = httpx.post(f"http://{address}:8000/v1/completions", json=body | {"return_token_ids": True}, timeout=60)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["choices"][0]["token_ids"])


def pod(world: World) -> tuple[str, int]:
    """The mixture's only pod, and how often it was restarted."""
    listed = json.loads(world.kubectl("get", "pods", "-l", f"lora-operator.io/model={NAME}", "-o", "json"))
    [found] = listed["items"]
    return found["metadata"]["uid"], sum(c["restartCount"] for c in found["status"]["containerStatuses"])


def serves(world: World, *parts: tuple[str, float]) -> bool:
    status = world.get("loramodel", NAME)["status"]
    return status["mixture"].get("serving") == status["mixture"]["revision"] and tokens(world) == world.reference(
        *parts
    )


def test_a_mixture_answers_as_peft_computes_it_and_follows_its_experts_without_a_restart(mixed: World) -> None:
    before = pod(mixed)
    assert serves(mixed, ("a", 0.5), ("b", 0.5))
    columns, row = mixed.kubectl("get", "loramodel", NAME).splitlines()
    assert columns.split() == ["NAME", "SOURCE", "REPLICAS", "ADAPTERS", "MIXTURE", "READY", "REASON", "AGE"]
    assert "2 experts, untrained" in row
    assert row.split()[-3:-1] == ["True", "Serving"]

    lora = CommandLine(mixed.cluster.kubeconfig, NAMESPACE)
    said = lora("chat", NAME, "Who answers?", "--max-tokens", "3", "-o", "json").data
    [kept] = lora("scalings", NAME, said["id"], "-o", "json").data["generations"]
    assert kept["experts"] == ["a", "b"]
    assert len(kept["rows"]) > 2, "the tokens of the question, too"
    assert all(row["scalings"] == pytest.approx([0.5, 0.5], abs=1e-3) for row in kept["rows"])

    mixed.patch("a", {"weight": 0.2})
    mixed.ready("a")
    mixed.until("the mixture to follow the weight", lambda: serves(mixed, ("a", 0.1), ("b", 0.5)))

    mixed.kubectl("patch", "loramodel", NAME, "--type=merge", "-p", json.dumps(with_weights(a=1, b=-0.5)))
    mixed.until("the mixture to be re-weighted", lambda: serves(mixed, ("a", 0.1), ("b", -0.25)))

    mixed.kubectl("patch", "loramodel", NAME, "--type=merge", "-p", json.dumps(with_weights(a=1, missing=1)))
    mixed.until("the refusal", lambda: mixed.condition(NAME, "Ready", of="loramodel")["reason"] == "MemberNotFound")
    assert mixed.condition(NAME, "Available", of="loramodel")["status"] == "True"
    assert tokens(mixed) == mixed.reference(("a", 0.1), ("b", -0.25))
    assert pod(mixed) == before


def with_weights(**weights: float) -> Json:
    experts = [{"adapterRef": {"name": name}, "weight": weight} for name, weight in weights.items()]
    return {"spec": {"mixture": {"experts": experts}}}
