"""One word for what went wrong, everywhere; a number for scripts; a sentence and a command for people."""

import re
from pathlib import Path

import pytest

from lora_api.error_codes import HTTP_STATUS, OF_REASON, OPENAI_TYPE, ErrorCode, code_of
from lora_api.v1alpha1.conditions import Reason
from lora_cli.domain.advice import ADVICE, advice_for
from lora_cli.errors import EXIT_STATUS, INTERRUPTED, UNDECIDED, USAGE

ROOT = Path(__file__).resolve().parents[3]
WELL = {Reason.ACCEPTED, Reason.RESOLVED, Reason.VALIDATED, Reason.SERVING}


def test_every_reason_that_stands_in_the_way_has_a_code_and_advice() -> None:
    assert set(OF_REASON) == set(Reason) - WELL
    assert set(ADVICE) == set(Reason) - WELL


@pytest.mark.parametrize("reason", sorted(ADVICE))
def test_the_long_form_of_every_advice_is_in_the_documentation(reason: Reason) -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert re.search(rf"^### {reason}$", page, re.MULTILINE)


@pytest.mark.parametrize("reason", sorted(ADVICE))
def test_every_command_of_an_advice_can_be_typed(reason: Reason) -> None:
    command = ADVICE[reason].command_for(name="pirate", model="smol", namespace="team")
    assert command.startswith("kubectl ")
    assert "-n team" in command
    assert "{" not in command.replace("{.spec.source.credentialsRef}", "")


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
    assert advice_for("Levitating").command.startswith("kubectl describe")
