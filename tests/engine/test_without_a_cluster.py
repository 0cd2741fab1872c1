"""`lora-runtime serve`: the same runtime, told by flags, a variable, a file and `lora … --server` what to serve."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from engine.conftest import PROMPT, TOKENS
from lora_api.error_codes import ErrorCode
from lora_api.local_api import ADAPTERS_PATH, LocalAdapter, LocalState
from lora_api.v1alpha1.conditions import Reason
from lora_cli.errors import EXIT_STATUS
from support.models import greedy, tiny_adapter, tiny_base
from support.runtime_process import RuntimeProcess, start_without_a_cluster

SECONDS = 30.0
ENGINE_AND_TRACKER = 2
FILE = """
apiVersion: lora-operator.io/v1alpha1
kind: LoRAAdapter
metadata: {{name: filed}}
spec:
  modelRef: {{name: base}}
  source: {{volume: {{name: adapters, path: {folder}}}}}
  weight: {weight}
---
apiVersion: lora-operator.io/v1alpha1
kind: LoRAAdapter
metadata: {{name: mixed}}
spec:
  modelRef: {{name: base}}
  blend: {{members: [{{adapterRef: {{name: filed}}, weight: 0.5}}, {{adapterRef: {{name: given}}, weight: 0.5}}]}}
"""


@dataclass
class Machine:
    """A folder with a model and adapters, and the process that serves them."""

    folder: Path
    runtime: RuntimeProcess

    @property
    def state(self) -> LocalState:
        answer = httpx.get(self.runtime.url + ADAPTERS_PATH, timeout=10).raise_for_status()
        return LocalState.model_validate_json(answer.content)

    def adapter(self, name: str) -> LocalAdapter:
        return next(adapter for adapter in self.state.adapters if adapter.name == name)

    def until(self, holds: Callable[[LocalState], bool]) -> LocalState:
        deadline = time.monotonic() + SECONDS
        while not holds(state := self.state):
            assert time.monotonic() < deadline, f"still {state}\n{self.runtime.tail()}"
            time.sleep(0.05)
        return state

    def write(self, weight: float | str, folder: str = "a") -> None:
        draft = self.folder / "draft"
        draft.write_text(FILE.format(weight=weight, folder=folder))
        draft.replace(self.folder / "adapters.yaml")

    def ask(self, model: str) -> httpx.Response:
        body: dict[str, Any] = {"model": model, "prompt": list(PROMPT), "max_tokens": TOKENS, "temperature": 0}
        body |= {"ignore_eos": True, "return_token_ids": True}
        return httpx.post(f"{self.runtime.url}/v1/completions", json=body, timeout=60)

    def tokens(self, model: str) -> list[int]:
        answer = self.ask(model)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["choices"][0]["token_ids"])

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs `lora` in the machine's folder, to its end."""
        environment = os.environ | {"LORA_SERVER": self.runtime.url, "NO_COLOR": "1"}
        program = [sys.executable, "-m", "lora_cli", *words]
        return subprocess.run(program, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=120)

    def does(self, *words: str) -> str:
        said = self.command(*words)
        assert said.returncode == 0, f"{said.stderr}\n{self.runtime.tail()}"
        return said.stdout

    def fails(self, code: ErrorCode, *words: str) -> str:
        said = self.command(*words)
        assert said.returncode == EXIT_STATUS[code], said.stderr
        return said.stderr

    def reference(self, *parts: tuple[str, float]) -> list[int]:
        adapters = [(self.folder / "adapters" / name, weight) for name, weight in parts]
        return greedy(self.folder / "base", adapters, PROMPT, TOKENS)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    base = tiny_base(folder / "base")
    for number, name in enumerate(("a", "b", "c"), 1):
        tiny_adapter(folder / "adapters" / name, base, seed=number)
    tiny_adapter(folder / "adapters" / "large", base, seed=4, r=64)
    tiny_adapter(folder / "adapters" / "d", base, seed=5)
    narrow = tiny_base(folder / "narrow")
    config = json.loads((narrow / "config.json").read_text()) | {"hidden_size": 64}
    (narrow / "config.json").write_text(json.dumps(config))
    tiny_adapter(folder / "adapters" / "narrow", narrow, seed=6)
    (folder / "adapters.yaml").write_text(FILE.format(weight=1.0, folder="a"))
    runtime = start_without_a_cluster(
        folder, "--model=base", "--adapter=given=adapters/b@0.7", "--adapter=broken=adapters/large",
        "--desired=adapters.yaml", "--volume=adapters=adapters", "--max-rank=32", "--max-resident=4", "--max-cached=8",
        "--allow-changes", "--allow-composition",
        environment={"LORA_ADAPTERS": "variable=./adapters/c"},
    )  # fmt: skip
    try:
        runtime.wait_until_ready()
        yield Machine(folder, runtime)
        assert runtime.stop() == 0
    finally:
        runtime.stop()


def test_flags_variable_and_file_are_served_as_peft_says_as_soon_as_it_is_ready(machine: Machine) -> None:
    assert machine.tokens("given") == machine.reference(("b", 0.7))
    assert machine.tokens("variable") == machine.reference(("c", 1.0))
    assert machine.tokens("filed") == machine.reference(("a", 1.0))
    assert machine.tokens("mixed") == machine.reference(("a", 0.5), ("b", 0.35))
    assert machine.tokens("base") == machine.reference()
    assert machine.ask("nobody").status_code == 404


def test_what_cannot_be_served_holds_nothing_back_and_both_clients_and_people_are_told_why(machine: Machine) -> None:
    found = machine.adapter("broken")
    assert (found.ready, found.reason) == (False, Reason.RANK_TOO_LARGE)
    answer = machine.ask("broken")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "RankTooLarge" in answer.json()["error"]["message"]
    assert "rank" in found.message


def test_an_edited_file_is_served_within_a_second_or_two_and_its_blends_follow(machine: Machine) -> None:
    before = machine.adapter("filed").revision
    machine.write(0.4)
    machine.until(lambda state: all(a.ready for a in state.adapters if a.name in ("filed", "mixed")
                                    ) and machine.adapter("filed").revision != before)  # fmt: skip
    assert machine.tokens("filed") == machine.reference(("a", 0.4))
    assert machine.tokens("mixed") == machine.reference(("a", 0.2), ("b", 0.35))


def test_a_broken_file_and_a_broken_adapter_leave_what_is_served(machine: Machine) -> None:
    served = machine.tokens("filed")
    machine.write("heavy")
    state = machine.until(lambda state: state.file is not None and state.file.problem is not None)
    assert state.file is not None
    assert "LoRAAdapter filed: spec.weight" in str(state.file.problem)
    assert "spec.weight" in machine.runtime.tail()
    assert machine.tokens("filed") == served
    machine.write(0.4, folder="large")
    machine.until(
        lambda state: not machine.adapter("filed").ready and machine.adapter("filed").reason != Reason.FETCHING
    )
    assert machine.adapter("filed").reason is Reason.RANK_TOO_LARGE
    assert machine.tokens("filed") == served
    machine.write(0.4)
    machine.until(lambda state: machine.adapter("filed").ready)


def test_a_command_s_weight_is_answered_with_when_it_returns(machine: Machine) -> None:
    machine.does("scale", "variable", "0.25", "--wait")
    assert machine.tokens("variable") == machine.reference(("c", 0.25))
    assert "0.25" in machine.does("status")
    assert "adapters.yaml" in machine.fails(ErrorCode.CONFLICT, "scale", "filed", "0.5")


def test_folders_of_the_machine_are_checked_added_blended_asked_and_removed_by_commands(machine: Machine) -> None:
    assert "fits" in machine.does("validate", "./adapters/d")
    machine.does("add", "d", "--from", "./adapters/d", "--wait")
    machine.does("blend", "both", "given=1", "d=0.5", "--wait")
    assert machine.tokens("both") == machine.reference(("b", 0.7), ("d", 0.5))
    assert machine.does("chat", "both", "Who?", "--max-tokens", "4").strip()
    answers = json.loads(machine.does("compare", "base", "d", "Who?", "--max-tokens", "4", "-o", "json"))
    assert [answer["name"] for answer in answers] == ["base", "d"]
    assert "both" in machine.does("memory")
    machine.does("rm", "both", "d")
    assert machine.ask("d").status_code == 404


def test_each_refusal_has_the_same_code_over_http_and_on_the_command_line(machine: Machine) -> None:
    def post(path: str, **body: Any) -> tuple[int, Any]:
        answer = httpx.post(machine.runtime.url + path, json=body, timeout=60)
        return answer.status_code, answer.json()["error"]

    for path, body, status, code in (
        ("/v1/chat/completions", {"model": "nobody", "messages": []}, 404, "NotFound"),
        ("/v1/completions", {"model": "given", "prompt": "x", "max_tokens": -1}, 400, "Invalid"),
        ("/v1/completions", {"model": "given", "prompt": list(range(500)) * 2}, 400, "Invalid"),
        ("/v1/completions", {"model": "given"}, 400, "Invalid"),
        ("/v1/nowhere", {}, 404, "NotFound"),
        (ADAPTERS_PATH, {}, 405, "Invalid"),
    ):
        found, error = post(path, **body)
        assert error.keys() >= {"message", "type", "param"}, error
        assert error["code"] == code, (path, body, error)
        assert found == status
    summed = {"blend": [{"name": "given", "weight": 0.1}] * 5}
    status, error = post("/v1/completions", model="base", prompt="x", lora=summed)
    assert (status, error["code"], error["reason"]) == (422, "Incompatible", "RankTooLarge")

    assert "nobody" in machine.fails(ErrorCode.NOT_FOUND, "chat", "nobody", "x")
    shapes = "q_proj.lora_A.weight has shape [8, 64], but the base model needs [8, 128]"
    assert shapes in machine.fails(ErrorCode.INCOMPATIBLE, "add", "narrow", "--from", "./adapters/narrow", "--wait")
    assert shapes in machine.fails(ErrorCode.INCOMPATIBLE, "chat", "narrow", "x")
    status, error = post("/v1/completions", model="narrow", prompt="x")
    assert (status, error["code"], error["reason"]) == (503, "Incompatible", "ShapeMismatch")
    assert shapes in error["message"]
    answer = httpx.post(machine.runtime.url + "/generate", json={"inputs": "x", "parameters": {"adapter_id": "narrow"}})
    assert (answer.status_code, answer.json()["error_type"]) == (503, "overloaded")
    machine.does("rm", "narrow")


def test_only_what_clients_need_and_the_state_are_reachable(machine: Machine) -> None:
    assert httpx.get(machine.runtime.url + "/lora/v1").status_code == 404
    assert httpx.put(machine.runtime.url + "/v1/desired", json={}).status_code == 404
    assert httpx.post(machine.runtime.url + "/v1/load_lora_adapter", json={}).status_code == 404


def test_one_that_is_told_to_end_while_its_engine_starts_has_ended_at_once(tmp_path: Path) -> None:
    tiny_base(tmp_path / "base")
    runtime = start_without_a_cluster(tmp_path, "--model=base")
    try:
        process, deadline = psutil.Process(runtime.process.pid), time.monotonic() + SECONDS
        while len(children := process.children(recursive=True)) < ENGINE_AND_TRACKER:
            assert time.monotonic() < deadline, runtime.tail()
            time.sleep(0.05)
        runtime.process.send_signal(signal.SIGTERM)
        assert runtime.process.wait(10) == -signal.SIGTERM
        _, left = psutil.wait_procs(children, 10)
        assert not [child for child in left if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    finally:
        runtime.stop()
