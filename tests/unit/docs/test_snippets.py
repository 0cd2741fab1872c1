"""What pages show to be typed can be typed: shell and Python parse, and programs of ours have what they are asked for."""

import ast
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from lora_cli.app import app
from lora_runtime.standalone import command as serve
from support.snippets import PAGES, ROOT, Snippet, snippets

SNIPPETS = [snippet for page in PAGES for snippet in snippets(page)]
SHELL = [snippet for snippet in SNIPPETS if snippet.language == "sh"]


def commands(snippet: Snippet) -> list[list[str]]:
    """The words of each simple command."""
    text = re.sub(r"<<-?'?(\w+)'?\n.*?^\1$", "", snippet.text, flags=re.DOTALL | re.MULTILINE).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(("#", "'", '"'))]
    found = []
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # it goes on in the next line, inside quotes
            continue
        found.append(words)
    return found


def every(*beginning: str) -> list[tuple[str, list[str]]]:
    """Where a command with this beginning is shown, and its further words, up to what the shell does with it."""
    found = []
    for snippet in SHELL:
        for words in commands(snippet):
            if tuple(words[: len(beginning)]) == beginning:
                ends = [words.index(sign) for sign in ("|", "||", "&&", ";", ">", "&") if sign in words]
                found.append((str(snippet), words[len(beginning) : min(ends, default=None)]))
    return found


@pytest.mark.parametrize("snippet", SHELL, ids=str)
def test_shell_is_shell(snippet: Snippet) -> None:
    done = subprocess.run(["bash", "-n"], input=snippet.text, capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("snippet", [s for s in SNIPPETS if s.language == "python"], ids=str)
def test_python_is_python(snippet: Snippet) -> None:
    ast.parse(snippet.text)


@pytest.mark.parametrize("snippet", [s for s in SNIPPETS if s.language == "yaml"], ids=str)
def test_yaml_is_yaml(snippet: Snippet) -> None:
    assert all(yaml.safe_load_all(snippet.text))


@pytest.mark.parametrize(("place", "words"), [*every("kubectl", "lora"), *every("lora")])
def test_a_command_of_ours_takes_the_arguments_that_it_is_given(place: str, words: list[str]) -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    if words[0].startswith("--"):
        assert words[0] in {option for parameter in group.params for option in parameter.opts}, place
        return
    group.commands[words[0]].make_context(words[0], list(words[1:]))


def test_serve_has_the_flags_that_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        serve.read(["--help"], {})
    existing = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    shown = [re.sub(r"\\\n", " ", s.text) for s in SNIPPETS if s.language in ("sh", "ini")]
    given = [
        re.findall(r"--[\w-]+", typed)
        for text in shown
        for typed in re.findall(r"(?:lora-runtime|:dev) serve (.*)", text)
    ]
    assert len(given) > 3
    assert {flag for flags in given for flag in flags} <= existing


@pytest.mark.parametrize(("place", "words"), every("make"))
def test_a_target_that_is_named_exists(place: str, words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {word for word in words if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")} <= targets, place


@pytest.mark.parametrize("place", sorted({f"{s.page.parent}/{s.file}" for s in SNIPPETS if s.file}))
def test_a_file_that_a_page_makes_is_used_by_it(place: str) -> None:
    folder, file = Path(place).parent, Path(place).name
    assert any(file in s.text for s in SHELL if s.page.parent == folder)
