"""The program as a whole, without a cluster: its reference, its completion, its words for mistakes."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lora_api.error_codes import HTTP_STATUS, OF_REASON, ErrorCode
from lora_cli import reference
from lora_cli.app import app, run
from lora_cli.domain.advice import ADVICE, NOT_SEEN
from lora_cli.domain.subject import Subject
from lora_cli.errors import EXIT_STATUS, USAGE

ROOT = Path(__file__).resolve().parents[3]


def test_the_reference_is_that_of_these_commands() -> None:
    assert (ROOT / reference.PAGE).read_text(encoding="utf-8") == reference.page(), "run `make gen`"
    assert all(f"| {status} |" in reference.page() for status in EXIT_STATUS.values())


def test_the_table_of_errors_is_that_of_the_codes() -> None:
    page = (ROOT / reference.ERRORS).read_text(encoding="utf-8")
    assert page == reference.errors_page(), "run `make gen`"
    for code in ErrorCode:
        [row] = [line for line in page.splitlines() if line.startswith(f"| `{code}` ")]
        assert f"| {HTTP_STATUS[code]} | {EXIT_STATUS[code]} |" in row
        assert all(f"`{reason}`" in row for reason, of in OF_REASON.items() if of is code)


@pytest.mark.parametrize("command", [each.name for each in app.registered_commands if each.name])
def test_every_command_says_how_it_is_used(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert "Usage:" in capsys.readouterr().out


def test_kubectl_completes_commands_of_the_plugin() -> None:
    words = [sys.executable, "-m", "lora_cli.kubectl_completion", "de"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["describe", ":4"]


@pytest.mark.parametrize("words", [["scale", "pirate"], ["add", "pirate"], ["levitate"], ["status", "-o", "xml"]])
def test_a_command_line_that_makes_no_sense_is_one(words: list[str]) -> None:
    assert run(words) == USAGE


def documented() -> list[str]:
    """Every command of the plugin that a page or an advice tells people to type."""
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    typed = [line for page in pages for line in re.findall(r"^kubectl lora .+$", page.read_text(), re.MULTILINE)]
    advised = [advice.command_for(Subject("a", "m", "n")) for advice in (*ADVICE.values(), NOT_SEEN)]
    return sorted({*typed, *(command for command in advised if command.startswith("kubectl lora "))})


@pytest.mark.parametrize("command", documented())
def test_a_command_that_people_are_told_to_type_makes_sense(command: str, tmp_path: Path) -> None:
    words = shlex.split(command, comments=True)[2:]
    assert run([*words, "--kubeconfig", str(tmp_path / "none")]) == EXIT_STATUS[ErrorCode.NOT_FOUND]


def test_a_negative_weight_is_no_option(tmp_path: Path) -> None:
    words = ["scale", "pirate", "-3", "--kubeconfig", str(tmp_path / "none")]
    assert run(words) == EXIT_STATUS[ErrorCode.NOT_FOUND]
    assert run(["scale", "--timeout", "3", "pirate", "-.5", *words[3:]]) == EXIT_STATUS[ErrorCode.NOT_FOUND]


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["scale", "pirate", "-3", "--wiat"], "--wait"), (["status", "--wach"], "--watch"), (["blennd"], "blend")],
    ids=str,
)
def test_a_mistake_is_told_what_was_meant(words: list[str], meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == USAGE
    assert meant in capsys.readouterr().err


def test_a_kubeconfig_that_is_missing_is_said_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", "--kubeconfig", str(tmp_path / "none")]) == EXIT_STATUS[ErrorCode.NOT_FOUND]
    said = capsys.readouterr().err
    assert f"there is no kubeconfig {tmp_path / 'none'}" in said
    assert "--server URL" in said
    (tmp_path / "bad").write_text("a: [")
    assert run(["status", "--kubeconfig", str(tmp_path / "bad")]) == EXIT_STATUS[ErrorCode.INVALID]


@pytest.mark.parametrize(
    "words",
    [
        ["blend", "x", "a=much"],
        ["blend", "x", "a", "a=2"],
        ["compare", "a question alone"],
        ["validate", "hf://a/b", "--server", "http://127.0.0.1:9", "--base", "."],
    ],
    ids=str,
)
def test_words_that_make_no_sense_are_a_matter_of_usage(words: list[str]) -> None:
    assert run(words) == USAGE


def test_a_shell_gets_no_errors_while_it_completes(tmp_path: Path) -> None:
    environment = os.environ | {"KUBECONFIG": str(tmp_path / "none")}
    words = [sys.executable, "-m", "lora_cli.kubectl_completion", "describe", "p"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, env=environment)
    assert (done.stdout, done.stderr) == (":4\n", "")
