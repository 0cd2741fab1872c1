"""`lora … --server URL` and the routes of a runtime without a cluster, over real HTTP."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from lora_api.error_codes import HTTP_STATUS, ErrorCode
from lora_api.local_api import ADAPTERS_PATH, LocalState
from lora_cli.app import run
from lora_cli.clients.objects import ADAPTERS
from lora_cli.clients.server import Server
from lora_cli.clients.server_objects import ServerObjects
from lora_cli.errors import EXIT_STATUS, Failed
from lora_cli.session import Session
from lora_runtime.standalone.wish import Changes
from support.local_server import MISSHAPEN, LocalServer

SECONDS = 20.0
FILE = """
apiVersion: lora-operator.io/v1alpha1
kind: LoRAAdapter
metadata: {name: filed}
spec: {modelRef: {name: smol}, source: {huggingFace: {repo: team/filed}}}
"""


class Shell:
    """Somebody who types at a server."""

    def __init__(self, server: LocalServer, heard: Any) -> None:
        self.server, self._heard = server, heard

    def __call__(self, *words: str) -> tuple[int, str, str]:
        status = run([*words, "--server", self.server.url])
        out, err = self._heard.readouterr()
        return status, out, err

    def does(self, *words: str) -> str:
        status, out, err = self(*words)
        assert status == 0, err
        return str(out)

    def fails(self, code: ErrorCode, *words: str) -> str:
        status, _, err = self(*words)
        assert status == EXIT_STATUS[code], err
        assert f"error: {code}: " in err
        return str(err)

    @property
    def state(self) -> LocalState:
        return LocalState.model_validate_json(httpx.get(self.server.url + ADAPTERS_PATH).content)

    def until(self, holds: Callable[[LocalState], bool]) -> LocalState:
        deadline = time.monotonic() + SECONDS
        while not holds(state := self.state):
            assert time.monotonic() < deadline, state
            time.sleep(0.02)
        return state


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.setenv("NO_COLOR", "1")
    with LocalServer(tmp_path, "pirate=hf://team/pirate@v1@0.7", "broken=hf://team/misshapen") as server:
        made = Shell(server, capsys)
        made.until(lambda state: state.settled and any(adapter.ready for adapter in state.adapters))
        yield made


def test_status_and_describe_tell_of_a_server_as_of_a_namespace(shell: Shell) -> None:
    out = shell.does("status")
    assert "smol-135m" in out
    assert "ShapeMismatch" in out
    assert "0.7" in out
    described = shell.does("describe", "broken")
    assert MISSHAPEN in described
    assert f"lora rm broken --server {shell.server.url}" in described
    assert "ready" in shell.does("describe", "Smol-135M")
    stored = json.loads(shell.does("status", "-o", "json"))["items"]
    assert [item["kind"] for item in stored] == ["LoRAModel", "LoRAAdapter", "LoRAAdapter"]


def test_a_weight_changes_while_it_serves(shell: Shell) -> None:
    before = shell.state.adapters[0].revision
    out = shell.does("scale", "pirate", "-0.5", "--wait")
    assert "scaled to -0.5; revision" in out
    assert shell.state.adapters[0].spec.weight == -0.5
    assert shell.state.adapters[0].revision != before


def test_whoever_watches_sees_a_change(shell: Shell) -> None:
    heard = ServerObjects(Server(shell.server.url, None)).follow(ADAPTERS, {})
    assert next(heard)[1]["items"][0]["spec"]["weight"] == 0.7
    shell.does("scale", "pirate", "0.5")
    assert next(heard)[1]["items"][0]["spec"]["weight"] == 0.5


def test_adapters_are_added_replaced_blended_and_removed(shell: Shell) -> None:
    shell.does("add", "formal", "--from", "hf://team/formal@v2", "--weight", "0.5", "--wait")
    assert "already" in shell.fails(ErrorCode.CONFLICT, "add", "formal", "--from", "hf://team/formal")
    shell.does("add", "formal", "--from", "s3://bucket/formal", "--replace", "--wait")
    [formal] = [adapter for adapter in shell.state.adapters if adapter.name == "formal"]
    assert formal.spec.source is not None
    assert formal.spec.source.hugging_face is None, "one place, and not two"
    assert formal.spec.weight == 0.5, "what is not given stays"
    shell.does("blend", "both", "pirate=0.7", "formal=0.5", "--wait")
    shell.does("blend", "both", "pirate=0.1", "formal=0.5", "--wait")
    assert set(shell.server.engine.published) == {"pirate", "formal", "both"}
    shell.does("rm", "both")
    shell.does("clear", "--yes")
    assert shell.until(lambda state: not shell.server.engine.published).adapters == ()


def test_what_is_changed_is_what_has_the_name_and_not_what_is_served_under_it(shell: Shell) -> None:
    shell.does("add", "a", "--from", "hf://team/formal@v2", "--served-name", "b", "--wait")
    shell.does("add", "b", "--from", "hf://team/formal@v2", "--served-name", "c", "--wait")
    shell.does("scale", "b", "0.25", "--wait")
    weights = {adapter.name: adapter.spec.weight for adapter in shell.state.adapters}
    assert (weights["a"], weights["b"]) == (1.0, 0.25)
    shell.fails(ErrorCode.NOT_FOUND, "scale", "c", "0.3")


def test_an_adapter_goes_back_to_what_it_was(shell: Shell) -> None:
    first = shell.state.adapters[0].revision
    shell.does("scale", "pirate", "0.5", "--wait")
    second = shell.state.adapters[0].revision
    listed = json.loads(shell.does("history", "pirate", "-o", "json"))
    assert [(entry["revision"], entry["weight"]) for entry in listed] == [(second, 0.5), (first, 0.7)]
    assert "served" in shell.does("history", "pirate")
    assert f"rolled back to {first}; revision {first} is served" in shell.does("rollback", "pirate", "--wait")
    assert shell.state.adapters[0].spec.weight == 0.7
    shell.does("rollback", "pirate", "--to", str(second)[:4], "--wait")
    assert shell.state.adapters[0].revision == second


def test_what_was_refused_is_gone_back_from(shell: Shell) -> None:
    served = shell.state.adapters[0].revision
    shell.fails(ErrorCode.INCOMPATIBLE, "add", "pirate", "--replace", "--from", "hf://team/misshapen", "--wait")
    shell.does("rollback", "pirate", "--wait")
    assert shell.state.adapters[0].revision == served


def test_whoever_waits_does_not_take_somebody_elses_change_for_its_own(shell: Shell) -> None:
    mine = Session.of(None, None, None, server=shell.server.url)
    changed = mine.objects.merge(ADAPTERS, "pirate", {"spec": {"weight": 0.5}})
    shell.does("scale", "pirate", "0.25", "--wait")
    with pytest.raises(Failed, match="somebody else has changed pirate meanwhile"):
        mine.wait(changed, SECONDS, lambda _: None)


@pytest.mark.parametrize("words", [("status",), ("describe", "pirate"), ("scale", "pirate", "0.5")])
def test_objects_are_told_in_yaml_too(shell: Shell, words: Sequence[str]) -> None:
    assert "pirate" in str(yaml.safe_load(shell.does(*words, "-o", "yaml")))


def test_all_are_removed_that_can_be_and_each_that_cannot_is_told(shell: Shell) -> None:
    status, out, err = shell("rm", "nobody", "pirate", "../x", "broken")
    assert status == max(EXIT_STATUS[ErrorCode.NOT_FOUND], EXIT_STATUS[ErrorCode.INVALID])
    assert ("pirate removed" in out, "broken removed" in out) == (True, True)
    assert ("nobody" in err, "../x" in err) == (True, True)
    assert shell.state.adapters == ()


def test_folders_are_given_as_a_shell_does(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "formal").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name, place in (("a", "../formal"), ("b", "."), ("c", "../here/../formal")):
        shell.does("add", name, "--from", place, "--wait")
    monkeypatch.chdir(tmp_path)
    shell.does("add", "d", "--from", "formal", "--wait")
    sources = {adapter.name: adapter.spec.source.describe() for adapter in shell.state.adapters if adapter.spec.source}
    assert sources["a"] == sources["c"] == sources["d"]
    assert sources["a"].endswith(str(tmp_path / "formal"))
    shell.does("validate", "formal")


def test_a_dry_run_only_checks(shell: Shell) -> None:
    assert "(server dry run)" in shell.does("scale", "pirate", "0.1", "--dry-run", "server")
    shell.does("rm", "pirate", "--dry-run", "server")
    assert shell.state.adapters[0].spec.weight == 0.7
    assert "spec.weight" in shell.fails(ErrorCode.INVALID, "scale", "pirate", "11", "--dry-run", "server")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("scale", "nobody", "1"), ErrorCode.NOT_FOUND, "nothing is called nobody"),
        (("rm", "nobody"), ErrorCode.NOT_FOUND, "declared are: pirate, broken"),
        (("scale", "pirate", "11"), ErrorCode.INVALID, "spec.weight"),
        (("add", "Smol-135M", "--from", "hf://a/b"), ErrorCode.CONFLICT, "that of the base model"),
        (("blend", "x", "pirate=1", "none=1"), ErrorCode.NOT_FOUND, "MemberNotFound"),
        (("add", "x", "--from", "hf://team/misshapen", "--wait"), ErrorCode.INCOMPATIBLE, MISSHAPEN),
        (("add", "x", "--from", "hf://team/missing", "--wait"), ErrorCode.NOT_FOUND, "SourceNotFound"),
        (("add", "x", "--from", "hf://team/huge", "--wait"), ErrorCode.OUT_OF_MEMORY, "9 bytes needed, 5 available"),
        (("validate", "hf://team/misshapen"), ErrorCode.INCOMPATIBLE, MISSHAPEN),
        (("clear", "--model", "other", "--yes"), ErrorCode.NOT_FOUND, "leave --model out"),
        (("rollback", "pirate"), ErrorCode.NOT_FOUND, "has not had an earlier revision"),
        (("rollback", "pirate", "--to", "x"), ErrorCode.NOT_FOUND, "lora history pirate --server"),
        (("status", "-n", "team"), ErrorCode.INVALID, "leave out --namespace"),
    ],
    ids=str,
)
def test_what_cannot_be_done_has_the_code_of_its_reason(
    shell: Shell, words: tuple[str, ...], code: ErrorCode, says: str
) -> None:
    assert says in shell.fails(code, *words)


@pytest.mark.parametrize("place", ["https://h.example/f?token=1", "s3://bucket/a/../b"])
def test_validate_refuses_what_add_refuses(shell: Shell, place: str) -> None:
    shell.fails(ErrorCode.INVALID, "add", "other", "--from", place)
    shell.fails(ErrorCode.INVALID, "validate", place)


def test_validate_asks_the_server_and_serves_nothing(shell: Shell) -> None:
    said = shell.does("validate", "hf://team/other@v1")
    assert "fits" in said
    assert "rank 8" in said
    assert len(shell.state.adapters) == 2


def test_memory_and_doctor_tell_of_the_server(shell: Shell) -> None:
    assert "pirate" in shell.does("memory")
    status, out, _ = shell("doctor")
    assert status == EXIT_STATUS[ErrorCode.INCOMPATIBLE]
    assert "broken is not ready: ShapeMismatch" in out


def test_a_server_that_was_not_started_so_takes_no_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with LocalServer(tmp_path, "pirate=hf://team/pirate", changes=Changes()) as server:
        shell = Shell(server, capsys)
        for words in (("scale", "pirate", "0.5"), ("rm", "pirate"), ("validate", "hf://team/other")):
            assert "--allow-changes" in shell.fails(ErrorCode.FORBIDDEN, *words)
        assert len(shell.state.adapters) == 1


def test_the_file_has_the_last_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "adapters.yaml"
    file.write_text(FILE)
    with LocalServer(tmp_path / "state", file=file) as server:
        shell = Shell(server, capsys)
        shell.until(lambda state: any(adapter.ready for adapter in state.adapters))
        for words in (("scale", "filed", "0.5"), ("rm", "filed")):
            assert f"is declared in {file}" in shell.fails(ErrorCode.CONFLICT, *words)
        shell.does("add", "asked", "--from", "hf://team/asked", "--wait")
        draft = tmp_path / "draft"
        draft.write_text(FILE.replace("filed", "asked"))
        draft.replace(file)
        [found] = shell.until(lambda state: [adapter.name for adapter in state.adapters] == ["asked"]).adapters
        assert found.declared_by == "File"


def test_keys_are_shown_and_those_for_changes_are_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "keys").write_text("client")
    (tmp_path / "admin").write_text("admin")
    changes = Changes(keys_file=tmp_path / "admin")
    with LocalServer(tmp_path, "pirate=hf://team/pirate", changes=changes, keys=tmp_path / "keys") as server:
        shell = Shell(server, capsys)
        assert "LORA_API_KEY" in shell.fails(ErrorCode.UNAUTHORIZED, "status")
        shell.does("status", "--api-key", "client")
        assert "--admin-keys-file" in shell.fails(
            ErrorCode.UNAUTHORIZED, "scale", "pirate", "0.5", "--api-key", "client"
        )
        shell.does("scale", "pirate", "0.5", "--wait", "--api-key", "admin")


def test_a_page_in_a_browser_of_this_machine_changes_nothing(shell: Shell) -> None:
    spec = {"modelRef": {"name": "x"}, "source": {"huggingFace": {"repo": "evil/one"}}}
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Via": "1.1 proxy"}):
        answer = httpx.put(f"{shell.server.url}{ADAPTERS_PATH}/evil", json=spec, headers=headers)
        assert answer.status_code == HTTP_STATUS[ErrorCode.FORBIDDEN]
        assert answer.json()["error"]["code"] == ErrorCode.FORBIDDEN
    assert httpx.put(f"{shell.server.url}{ADAPTERS_PATH}/fine", json=spec).status_code == 200


def test_a_change_of_what_somebody_else_has_changed_is_refused(shell: Shell) -> None:
    path = f"{shell.server.url}{ADAPTERS_PATH}/pirate"
    [version] = [adapter.version for adapter in shell.state.adapters if adapter.name == "pirate"]
    shell.does("scale", "pirate", "0.5")
    spec = {"modelRef": {"name": "x"}, "source": {"huggingFace": {"repo": "team/pirate"}}}
    answer = httpx.put(path, json=spec, headers={"If-Match": f'"{version}"'})
    assert (answer.status_code, answer.json()["error"]["code"]) == (412, "Conflict")
    assert httpx.delete(path, headers={"If-Match": f'"{version}"'}).status_code == 412
    assert httpx.put(path, json=spec, headers={"If-None-Match": "*"}).status_code == 412
    assert httpx.put(path, json=spec, headers={"If-Match": "*"}).status_code == 200


def test_a_change_of_what_is_not_there_makes_nothing(shell: Shell) -> None:
    path = f"{shell.server.url}{ADAPTERS_PATH}/nobody"
    spec = {"modelRef": {"name": "x"}, "source": {"huggingFace": {"repo": "team/pirate"}}}
    for method, headers in (("PUT", {"If-Match": "*"}), ("PUT", {"If-Match": '"1"'}), ("DELETE", {"If-Match": "*"})):
        answer = httpx.request(method, path, json=spec, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (412, "Conflict")
    assert httpx.delete(path).status_code == 404


def test_requests_that_make_no_sense_are_invalid(shell: Shell) -> None:
    path = f"{shell.server.url}{ADAPTERS_PATH}/x"
    not_a_weight = b'{"modelRef": {"name": "x"}, "source": {"huggingFace": {"repo": "a/b"}}, "weight": NaN}'
    bodies = b"{", b"[]", b'{"wieght": 1}', b"[" * 60_000, b'{"a": "\\ud800"}', b"\xff", not_a_weight
    for content, status in (*((body, 400) for body in bodies), (b" " * (1 << 17), 413)):
        answer = httpx.put(path, content=content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, "Invalid"), content[:20]
    assert httpx.put(f"{shell.server.url}{ADAPTERS_PATH}/a:b", json={}).status_code == 400


def test_a_server_that_is_none_is_said() -> None:
    assert run(["status", "--server", "ftp://x"]) == EXIT_STATUS[ErrorCode.INVALID]
    assert run(["status", "--server", "http://127.0.0.1:9"]) == EXIT_STATUS[ErrorCode.UNREACHABLE]
