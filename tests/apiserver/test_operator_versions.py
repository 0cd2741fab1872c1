"""An operator beside what other versions of it left behind, and beside runtimes of other versions."""

import time
from pathlib import Path

import pytest

from support.custom_resources import ADAPTER, MODEL
from support.older_runtime import OlderRuntime
from support.operated import Operator, Team, eventually

pytestmark = pytest.mark.apiserver


def test_a_runtime_that_understands_less_of_a_document_serves_what_it_understands_and_is_left_in_peace(
    team: Team, operator: Operator, tmp_path: Path
) -> None:
    with operator.running():
        team.create(MODEL)
        team.create(ADAPTER)
        [runtime] = team.runtimes(tmp_path, None, wrap=OlderRuntime)
        with runtime:
            first = team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
            team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
            eventually(
                "another revision", lambda: team.status("loraadapters", "pirate")["revision"] != first["revision"]
            )
            team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
            told = len(runtime.documents)
            team.ring()
            soon = time.monotonic() + 1.5
            eventually("a moment passes", lambda: time.monotonic() > soon)
            assert len(runtime.documents) == told
            assert runtime.documents[-1].sequence < 10


def test_what_an_earlier_operator_left_in_a_status_is_completed(team: Team, operator: Operator) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    left = {"observedGeneration": 1, "conditions": [], "summary": {"loaded": "0/0"}}
    team.custom.patch_namespaced_custom_object_status(
        "lora-operator.io", "v1alpha1", team.namespace, "loraadapters", "pirate", {"status": left}
    )
    with operator.running():
        status = team.comes_to("loraadapters", "pirate", "Ready", ("False", "ModelNotAvailable"))
        assert status["pods"] == {"desired": 1, "updated": 0, "available": 0}
