"""One word for what went wrong, everywhere; a number for scripts; a sentence and a command for people."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from lora_api.error_codes import HTTP_STATUS, OF_REASON, OPENAI_TYPE, ErrorCode, code_of
from lora_api.v1alpha1.conditions import Reason
from lora_cli.domain.advice import ADVICE, advice_for
from lora_cli.domain.subject import Subject
from lora_cli.errors import EXIT_STATUS, INTERRUPTED, UNDECIDED, USAGE
from support.stored import a_stored_adapter, a_stored_model

ROOT = Path(__file__).resolve().parents[3]
PIRATE = Subject("pirate", "smol", "team")
WELL = {Reason.ACCEPTED, Reason.RESOLVED, Reason.VALIDATED, Reason.SERVING}


def test_every_reason_that_stands_in_the_way_has_a_code_and_advice() -> None:
    assert set(OF_REASON) == set(Reason) - WELL
    assert set(ADVICE) == set(Reason) - WELL


@pytest.mark.parametrize("reason", sorted(ADVICE))
def test_the_long_form_of_every_advice_is_in_the_documentation(reason: Reason) -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert re.search(rf"^### {reason}$", page, re.MULTILINE)


@pytest.mark.parametrize(
    "about", [PIRATE, replace(PIRATE, in_volume=True), replace(PIRATE, pod="smol-x", container="runtime")], ids=str
)
@pytest.mark.parametrize("reason", sorted(ADVICE))
def test_every_command_of_an_advice_can_be_typed(reason: Reason, about: Subject) -> None:
    command = advice_for(reason, about).command_for(about)
    assert command.startswith("kubectl ")
    assert "-n team" in command
    assert "{" not in command.replace("{..credentialsRef}", "")


def test_every_code_has_an_exit_status_of_its_own() -> None:
    assert set(EXIT_STATUS) == set(ErrorCode)
    numbers = [*EXIT_STATUS.values(), 0, 1, USAGE, UNDECIDED, INTERRUPTED]
    assert len(set(numbers)) == len(numbers)


def test_every_code_has_a_status_and_a_type_over_http() -> None:
    assert set(HTTP_STATUS) == set(OPENAI_TYPE) == set(ErrorCode)
    for code in ErrorCode:
        assert (OPENAI_TYPE[code] == "ServiceUnavailableError") is (HTTP_STATUS[code] == 503)


def test_exit_statuses_never_change() -> None:
    assert [EXIT_STATUS[code] for code in ErrorCode] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]


def test_a_reason_of_a_newer_operator_is_no_failure_of_the_command() -> None:
    assert code_of("Levitating") is ErrorCode.NOT_READY
    assert advice_for("Levitating", PIRATE).command.startswith("kubectl describe")


def test_of_files_in_a_volume_no_server_and_no_secret_is_spoken() -> None:
    for reason in (Reason.SOURCE_NOT_FOUND, Reason.UNAUTHORIZED):
        advised = advice_for(reason, replace(PIRATE, in_volume=True))
        assert not {"repository", "server", "Secret"} & set(advised.meaning.replace(".", " ").split())
        assert advised != advice_for(reason, PIRATE)


def crash(words: str) -> str:
    about = Subject.of(a_stored_model(), words)
    return advice_for(Reason.ENGINE_CRASHING, about).command_for(about)


def test_where_the_message_is_about_one_container_its_own_log_is_to_be_read() -> None:
    assert crash("pod smol-x: container sidecar ended with exit code 1") == (
        "kubectl logs -n team smol-x -c sidecar --previous"
    )
    assert crash("pod smol-x (and 2 more): container runtime ended with exit code 1").startswith("kubectl get pods")
    assert crash("no pod is ready").startswith("kubectl get pods")


def test_what_cannot_run_in_one_pod_is_to_be_looked_at_there() -> None:
    for reason in (Reason.POD_FAILED, Reason.UNSCHEDULABLE):
        about = Subject.of(a_stored_model(), "pod smol-x: no room")
        assert advice_for(reason, about).command_for(about) == "kubectl describe pod -n team smol-x"


def test_what_is_to_be_edited_is_the_object_that_names_the_files() -> None:
    place = {"volume": {"name": "shared", "path": "x"}}
    hub = {"huggingFace": {"repo": "team/x"}}
    for observed, in_volume, command in (
        (a_stored_adapter(source=place), True, "kubectl edit loraadapter pirate -n team"),
        (a_stored_adapter(source=hub), False, "kubectl edit loraadapter pirate -n team"),
        (a_stored_model(source=place, mixture={"source": hub}), False, "kubectl edit loramodel smol -n team"),
        (a_stored_model(source=hub, mixture={"source": place}), True, "kubectl edit loramodel smol -n team"),
    ):
        about = Subject.of(observed)
        assert about.in_volume is in_volume
        assert advice_for(Reason.SOURCE_NOT_FOUND, about).command_for(about) == command
