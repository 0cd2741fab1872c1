"""`kubectl lora` on a real node: through the API server alone, down to what a stream says."""

import itertools
import json
import time
from pathlib import Path

import httpx

from e2e.conftest import MODEL, NAMESPACE, World
from lora_api.error_codes import ErrorCode
from lora_cli.clients.kube import Kube
from lora_cli.clients.serving import Serving, ThroughTheApiServer
from lora_cli.errors import EXIT_STATUS
from support.command_line import CommandLine

QUESTION = "Why does bread rise?"
GREEDY = ("--max-tokens", "12", "--temperature", "0")


def told_by_the_service(world: World, name: str) -> str:
    """What a client inside the cluster is answered."""
    body = {"model": name, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 12, "temperature": 0}
    answer = httpx.post(f"http://{world.service_ip()}:8000/v1/chat/completions", json=body, timeout=60)
    return str(answer.json()["choices"][0]["message"]["content"])


def test_an_adapter_from_first_to_last_word_without_a_port_forward(clean: World) -> None:
    lora = CommandLine(clean.cluster.kubeconfig, NAMESPACE)
    for name in ("a", "b"):
        lora.does("add", name, "--model", MODEL, "--from", f"adapters/{name}", "--wait")
    first = clean.get("loraadapter", "a")["status"]["revision"]
    strong = told_by_the_service(clean, "a")
    assert lora.does("chat", "a", QUESTION, *GREEDY) == strong + "\n"
    talk = lora.does("chat", "a", *GREEDY, stdin=f"{QUESTION}\n{QUESTION}\n")
    assert talk.startswith(strong + "\n")
    assert talk != (strong + "\n") * 2, "the second answer knows of the first"

    assert "scaled to -3; revision" in lora.does("scale", "a", "-3", "--wait")
    weak = told_by_the_service(clean, "a")
    assert weak != strong
    compared = lora("compare", "a", "b", MODEL, QUESTION, *GREEDY, "-o", "json").data
    assert {said["name"]: said["answer"] for said in compared} == {
        name: told_by_the_service(clean, name) for name in ("a", "b", MODEL)
    }
    assert f"{MODEL}: 2 adapters served; 5 can be in one batch" in lora.does("memory")
    assert lora("memory", "--model", MODEL, "-o", "json").data[0]["adapters"][0]["memory"]["hostBytes"] > 0

    assert [entry["weight"] for entry in lora("history", "a", "-o", "json").data] == [-3, 1]
    lora.does("rollback", "a", "--wait")
    assert clean.get("loraadapter", "a")["status"]["revision"] == first
    assert told_by_the_service(clean, "a") == strong
    assert "✓ operator" in lora.does("doctor")

    lora.does("rm", "a", "b")
    clean.until("404", lambda: clean.complete("a").status_code == 404)
    gone = lora("chat", "a", QUESTION)
    assert (gone.status, "neither a LoRAAdapter nor a LoRAModel a" in gone.err) == (
        EXIT_STATUS[ErrorCode.NOT_FOUND],
        True,
    )


def test_tokens_come_through_the_api_server_as_they_are_made(clean: World) -> None:
    serving = Serving(ThroughTheApiServer(Kube.connect(clean.cluster.kubeconfig, None, NAMESPACE), MODEL), MODEL)
    options = {"max_tokens": 200, "temperature": 0, "ignore_eos": True}
    arrivals = [
        time.monotonic()
        for piece in serving.chat([{"role": "user", "content": QUESTION}], options)
        if piece.text
    ]  # fmt: skip
    assert len(arrivals) > 20
    waited = arrivals[-1] - arrivals[0]
    longest = max(after - before for before, after in itertools.pairwise(arrivals))
    assert longest < waited / 2, "not held back and sent at once"


def test_an_adapter_is_held_against_the_model_before_anything_is_applied(clean: World, tmp_path: Path) -> None:
    lora = CommandLine(clean.cluster.kubeconfig, NAMESPACE)
    folder, base = clean.folder / "adapters" / "a", clean.folder / "models" / MODEL
    fits = lora.does("validate", str(folder), "--model", MODEL, "--base", str(base))
    assert fits.startswith(f"✓ {folder} fits {MODEL}")

    other = tmp_path / "other"
    other.mkdir()
    config = json.loads((base / "config.json").read_text()) | {"hidden_size": 64, "head_dim": 16}
    (other / "config.json").write_text(json.dumps(config))
    refused = lora("validate", str(folder), "--model", MODEL, "--base", str(other))
    assert refused.status == EXIT_STATUS[ErrorCode.INCOMPATIBLE]
    assert "ShapeMismatch: tensor base_model.model." in refused.err

    unknown = lora("validate", str(folder), "--model", MODEL)
    assert (unknown.status, "not checked: modules and shapes" in unknown.out) == (13, True)
    place = lora("validate", "adapters/a", "--model", MODEL)
    assert (place.status, "checked: the API server takes the object" in place.out) == (13, True)
    assert clean.kubectl("get", "loraadapters", "-o", "name") == ""
