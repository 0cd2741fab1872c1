"""X-LoRAs in a pod of their own: of two adapters, and a trained one; what they answer, and how they change while they serve."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from e2e.conftest import (
    MODEL,
    NAMESPACE,
    PROMPT,
    READY_SECONDS,
    TOKENS,
    World,
    a_model,
    an_adapter,
    open_to_all,
    served_names,
)
from support import mixtures
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


@pytest.fixture(scope="module")
def mixed(world: World) -> Iterator[World]:
    """The world with adapters a and b, served by the plain model, and a mixture of both."""
    world.apply(an_adapter("a", "a"), an_adapter("b", "b"), a_mixture(world, "a", "b"))
    try:
        world.kubectl("wait", "--for=condition=Ready", f"loramodel/{NAME}", f"--timeout={READY_SECONDS:.0f}s")
        yield world
    finally:
        world.kubectl("delete", "loramodel", NAME, "--wait")
        world.delete("--all")
        world.until("all names to be gone", lambda: served_names(world) == {MODEL})


def tokens(world: World) -> list[int]:
    address = world.kubectl("get", "service", NAME, "-o", "jsonpath={.spec.clusterIP}")
    body = {"model": NAME, "prompt": list(PROMPT), "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
    # When a pod is replaced, the Service's rules follow a moment later: a client connects once more.
    with httpx.Client(transport=httpx.HTTPTransport(retries=5), timeout=60) as http:
        answer = http.post(f"http://{address}:8000/v1/completions", json=body | {"return_token_ids": True})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["choices"][0]["token_ids"])


def pod(world: World) -> tuple[str, int]:
    """The mixture's only pod, and how often it was restarted."""
    listed = json.loads(world.kubectl("get", "pods", "-l", f"lora-operator.io/model={NAME}", "-o", "json"))
    [found] = [one for one in listed["items"] if "deletionTimestamp" not in one["metadata"]]
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


def test_a_trained_one_of_other_shapes_is_served_after_a_roll_and_the_old_one_until_then(mixed: World) -> None:
    before, old = pod(mixed), tokens(mixed)
    expected = trained_in_the_volume(mixed, "trained")
    assert expected != old
    wanted = {"source": {"volume": {"name": "adapters", "path": "trained"}}, "scalingsKept": 4}
    replace = [{"op": "replace", "path": "/spec/mixture", "value": wanted}]
    mixed.kubectl("patch", "loramodel", NAME, "--type=json", "-p", json.dumps(replace))

    answers, reasons = [old], set[str]()

    def ready() -> bool:
        answers.append(tokens(mixed))
        found = {kind: mixed.condition(NAME, kind, of="loramodel") for kind in ("Ready", "Available")}
        assert found["Available"]["status"] == "True"
        reasons.add(found["Ready"]["reason"])
        return found["Ready"]["status"] == "True" and answers[-1] == expected

    mixed.until("the trained mixture", ready, READY_SECONDS)
    assert "RollingOut" in reasons
    assert {tuple(answer) for answer in answers} == {tuple(old), tuple(expected)}, "one or the other, and nothing else"
    row = mixed.kubectl("get", "loramodel", NAME).splitlines()[1]
    assert "3 experts, trained" in row
    status = mixed.get("loramodel", NAME)["status"]["mixture"]
    assert status["digest"].startswith("sha256:")
    assert pod(mixed)[0] != before[0]


def trained_in_the_volume(world: World, path: str) -> list[int]:
    """Saves a mixture of three experts with every option; returns what PEFT answers in float32."""
    base, shelf = world.folder / "models" / MODEL, world.folder / "adapters"
    model = mixtures.in_peft(base, mixtures.tiny_experts(world.folder / "experts", base), **mixtures.EVERY_OPTION)
    open_to_all(mixtures.save(model, shelf / path))
    return list(mixtures.answer(model, PROMPT, TOKENS).tokens)
