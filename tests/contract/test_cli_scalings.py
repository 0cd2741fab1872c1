"""`kubectl lora scalings` against the pods of a mixture, each behind the API server's proxy, over real HTTP."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora_api.error_codes import ErrorCode
from lora_cli.app import run
from lora_cli.errors import EXIT_STATUS
from support.scalings import told
from support.small_api_server import SmallApiServer, running
from support.stored import model_json

VALUES = np.array([[[0.25, 0.75]], [[1, 0]], [[0.5, 0.5]]], np.float16)
MIXTURE = {"experts": [{"adapterRef": {"name": "law"}}, {"adapterRef": {"name": "code"}}], "scalingsKept": 4}
ID = "chatcmpl-1"


@dataclass
class Shell:
    api: SmallApiServer
    kubeconfig: Path
    heard: Any

    def __call__(self, *words: str) -> tuple[int, str, str]:
        status = run([*words, "--kubeconfig", str(self.kubeconfig)])
        out, err = self.heard.readouterr()
        return status, out, err

    def does(self, *words: str) -> str:
        status, out, err = self(*words)
        assert status == 0, err
        return str(out)

    def fails(self, code: ErrorCode, *words: str) -> str:
        status, _, err = self(*words)
        assert status == EXIT_STATUS[code], err
        return str(err)


@pytest.fixture
def lora(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    """A shell where the second of two pods of `mixed` has answered."""
    api = SmallApiServer()
    api.put("loramodels", model_json("mixed", mixture=MIXTURE), "ADDED")
    api.pods = {"mixed-0": {}, "mixed-1": {ID: [told(VALUES, layers=[])]}}
    with running(api, tmp_path) as kubeconfig:
        yield Shell(api, kubeconfig, capsys)


def test_the_pod_that_answered_is_found_and_its_tokens_are_shown_with_their_shares(lora: Shell) -> None:
    lines = [line.split() for line in lora.does("scalings", "mixed", ID).splitlines()]
    assert lines == [
        ["#", "TOKEN", "e0", "e1"],
        ["0", "·word10", "0.250", "0.750"],
        ["1", "·word11", "1.000", "0.000"],
        ["2", "·word12", "0.500", "0.500"],
    ]


def test_programs_get_the_numbers(lora: Shell) -> None:
    found = json.loads(lora.does("scalings", "mixed", ID, "--token", "1", "-o", "json"))
    assert (found["id"], found["pod"]) == (ID, "mixed-1")
    [generation] = found["generations"]
    assert generation["rows"] == [{"token": 1, "text": " word11", "layer": None, "scalings": [1, 0]}]


def test_an_id_is_no_path_to_anything_else(lora: Shell) -> None:
    lora.api.pods["mixed-0"] = {"mine?a#b": [told(VALUES, layers=[])]}
    assert "·word10" in lora.does("scalings", "mixed", "mine?a#b")


def test_the_id_of_an_answer_is_told_with_it(lora: Shell) -> None:
    said = json.loads(lora.does("chat", "mixed", "Who?", "-o", "json"))
    assert said == {"name": "mixed", "id": ID, "answer": "Aye, matey", "finishReason": "stop"}
    _, out, err = lora("chat", "mixed", "Who?")
    assert (out, f"kubectl lora scalings mixed {ID} -n team" in err) == ("Aye, matey\n", True)
    assert lora("chat", "mixed", "-o", "json")[0] == 2


def test_who_has_a_key_shows_it_to_each_pod(lora: Shell) -> None:
    lora.does("scalings", "mixed", ID, "--api-key", "secret")
    assert lora.api.keys_shown == ["secret", "secret"]


def test_an_id_that_no_pod_knows_is_said_with_how_long_they_are_kept(lora: Shell) -> None:
    assert "none of the 2 running pods of mixed knows cmpl-9" in lora.fails(
        ErrorCode.NOT_FOUND, "scalings", "mixed", "cmpl-9"
    )
    del lora.api.pods["mixed-1"]
    assert "the only running pod of mixed does not know cmpl-9" in lora.fails(
        ErrorCode.NOT_FOUND, "scalings", "mixed", "cmpl-9"
    )


def test_a_pod_that_has_gone_is_said_only_when_no_other_knows_the_answer(lora: Shell) -> None:
    lora.api.pods["mixed-0"] = None
    lora.does("scalings", "mixed", ID)
    said = lora.fails(ErrorCode.UNREACHABLE, "scalings", "mixed", "cmpl-9")
    assert "1 of 2 pods" in said
    assert "mixed-0" in said
    lora.api.pods = {}
    assert "no pod of mixed is running" in lora.fails(ErrorCode.UNREACHABLE, "scalings", "mixed", ID)


def test_who_may_not_look_at_pods_is_told_the_right_that_is_missing(lora: Shell) -> None:
    lora.api.forbidden = frozenset({"pods"})
    assert "kubectl auth can-i list pods -n team" in lora.fails(ErrorCode.FORBIDDEN, "scalings", "mixed", ID)


def test_a_model_that_is_no_mixture_and_a_server_without_a_cluster_have_none(lora: Shell) -> None:
    lora.api.put("loramodels", model_json("smol"), "ADDED")
    assert "no mixture" in lora.fails(ErrorCode.INVALID, "scalings", "smol", ID)
    assert run(["scalings", "mixed", ID, "--server", "http://127.0.0.1:9"]) == EXIT_STATUS[ErrorCode.INVALID]
