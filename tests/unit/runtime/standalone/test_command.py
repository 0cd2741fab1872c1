"""What is typed behind `lora-runtime serve`, and the folders that stand for a pod's mounts."""

import os
import stat
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

import pytest

from lora_api.accelerators import PROFILES
from lora_api.v1alpha1.engine import OWNED_FLAGS, AcceleratorType
from lora_runtime import usage
from lora_runtime.standalone import command, folders, instead_of_a_pod
from lora_runtime.standalone.command import Command


def typed(*arguments: str, environment: Mapping[str, str] | None = None) -> Command:
    return command.read(("--model", "/models/smol", *arguments), {"XDG_CACHE_HOME": "/cache"} | dict(environment or {}))


def test_adapters_come_from_flags_and_from_the_variable() -> None:
    found = typed("--adapter", "a=/data/a@0.5", environment={"LORA_ADAPTERS": "team/b, c=/data/c"})
    assert [(wish.name, wish.spec.weight) for wish in found.wishes] == [("a", 0.5), ("team/b", 1.0), ("c", 1.0)]


def test_flags_that_are_not_its_own_are_vllms() -> None:
    found = typed("--dtype", "float32", "--enforce-eager", "--port=9000")
    assert found.flags[-3:] == ("--dtype", "float32", "--enforce-eager")
    assert "--port=9000" in found.flags


def test_what_is_typed_wins_over_what_the_engine_of_this_machine_needs() -> None:
    found = command.read(["--model", "/models/smol", "--dtype=auto"], {}, PROFILES[AcceleratorType.CPU]).flags
    assert found.index("--dtype=float32") < found.index("--dtype=auto")
    assert "--enforce-eager" in found


@pytest.mark.parametrize(
    "flag", ["-tp=2", "--tensor-parallel-size", "--pipeline_parallel_size=2", "--data-parallel-size=2"]
)
def test_only_an_engine_with_one_worker_has_it_in_its_own_process(flag: str) -> None:
    one, several = (
        command.read(["--model", "/models/smol", *typed], {}, PROFILES[AcceleratorType.CPU]).flags
        for typed in ((), (flag, "2"))
    )
    backends = [any("--distributed-executor-backend" in found for found in flags) for flags in (one, several)]
    assert backends == [True, False]


def test_it_listens_on_this_machine_alone_and_makes_room_as_a_pod_does() -> None:
    flags = typed("--max-resident", "4", "--max-rank", "20").flags
    assert "--host=127.0.0.1" in flags
    assert {"--enable-lora", "--max-loras=5", "--max-lora-rank=32", "--api-server-count=1"} <= set(flags)


@pytest.mark.parametrize(("model", "name"), [
    ("/models/smol", "smol"), ("team/Smol-135M", "Smol-135M"), ("hf://team/smol@v1.5", "smol"),
])  # fmt: skip
def test_the_base_is_called_as_its_folder_or_repository(model: str, name: str) -> None:
    assert command.read(["--model", model], {}).served_name == name


def test_each_model_has_a_folder_of_its_own() -> None:
    one, other = typed().state, typed("--served-model-name", "x").state
    assert one.parent == Path("/cache/lora-runtime")
    assert one != other
    assert typed("--state", "/var/lib/x").state == Path("/var/lib/x")


@pytest.mark.parametrize(("arguments", "says"), [
    (("--adapter", "a=ftp://x"), "no kind of source ftp://"),
    (("--adapter", "a=/x", "--adapter", "a=/y"), "a is declared twice"),
    (("--adapter", "smol=/x"), "smol is the base model's own name"),
    (("--volume", "disk=/"), "with another name than 'disk'"),
    (("--volume", "v=/not/there"), "there is no folder /not/there"),
    (("--desired", "/not/there.yaml"), "--desired: there is no file /not/there.yaml"),
    (("--desired", "/tmp"), "--desired: there is no file /tmp"),
    (("--max-rank", "0"), "greater than or equal to 1"),
    (("--served-model-name", "a b"), "must be letters, digits and . _ / -"),
])  # fmt: skip
def test_what_cannot_be_meant_is_said_at_once(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        typed(*arguments)
    assert says in capsys.readouterr().err


_OF_THE_ENGINE = {"--dtype", "--max-model-len", "--tensor-parallel-size", "-tp"}
_OWN = {"--model", "--served-model-name", "--host", "--port"}


@pytest.mark.parametrize("flag", sorted({*OWNED_FLAGS} - _OF_THE_ENGINE))
def test_what_undoes_a_promise_in_a_cluster_undoes_it_here(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    for written in (f"{flag}=1", flag.replace("-", "_").replace("__", "--", 1) + "=1", f"{flag[:-1]}=1"):
        if flag in _OWN and written == f"{flag}=1":
            continue
        with pytest.raises(SystemExit):
            typed(written)
        said = capsys.readouterr().err
        assert "is not for vLLM here" in said or "write flags in full" in said


@pytest.mark.parametrize("flag", sorted(_OF_THE_ENGINE))
def test_what_a_cluster_has_fields_for_is_vllms_here(flag: str) -> None:
    assert typed(f"{flag}=2").flags[-1] == f"{flag}=2"


@pytest.mark.parametrize("arguments", [("--api-key=k",), ("--api_key", "k"), ("--api-k", "k")])
def test_a_key_for_a_part_of_the_paths_is_refused_with_the_option_for_all(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        typed(*arguments)
    assert "--api-keys-file" in capsys.readouterr().err


def test_a_variable_of_vllm_guards_no_more_than_its_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        typed(environment={"VLLM_API_KEY": "k"})
    assert "VLLM_API_KEY is set: unset it, and name the file that holds the keys by --api-keys-file" in (
        capsys.readouterr().err
    )
    typed(environment={"VLLM_API_KEY": ""})


@pytest.mark.parametrize("arguments", [["-h"], ["--help"]])
def test_help_tells_both_forms(arguments: list[str]) -> None:
    told = usage.usage(arguments)
    assert told is not None
    assert "lora-runtime serve --model PLACE" in told
    assert "lora-runtime [flags of vLLM]" in told


@pytest.mark.parametrize(("arguments", "says"), [
    ([], "usage: lora-runtime serve"),
    (["serv"], "no command 'serv'; did you mean serve?"),
    (["start", "--model=x"], "no command 'start'; the only one is serve"),
])  # fmt: skip
def test_what_is_neither_form_is_answered_with_both(arguments: list[str], says: str) -> None:
    told = usage.mistake(arguments, {})
    assert told is not None
    assert says in told
    assert "lora-runtime [flags of vLLM]" in told


def test_a_pod_may_have_no_flags_and_flags_need_no_command() -> None:
    assert usage.mistake([], {"LORA_MODEL_SOURCE": "{}"}) is None
    assert usage.mistake(["--host=0.0.0.0"], {}) is None
    assert usage.mistake(["serve"], {}) is None
    assert usage.usage(["serve", "--help"]) is None, "it has a help of its own"


def test_a_machine_gets_the_settings_of_a_pod(tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    found = typed("--volume", f"shared={tmp_path / 'adapters'}", "--state", str(tmp_path / "state"))
    settings, declared = instead_of_a_pod.prepare(found, {"HF_HOME": str(tmp_path)})
    assert (settings.volumes_root / "shared").resolve() == tmp_path / "adapters"
    assert (settings.volumes_root / "disk").resolve() == Path("/")
    assert settings.served_name == "smol"
    assert settings.egress.refusal("127.0.0.1") is None
    assert not declared.hub_token


def test_who_runs_it_may_bound_where_sources_lead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_EGRESS", '{"allowedHosts": ["example.com"]}')
    settings, _ = instead_of_a_pod.prepare(typed("--state", str(tmp_path)), os.environ)
    assert settings.egress.allows_host("example.com")
    assert not settings.egress.allows_host("example.org")
    assert settings.egress.refusal_of_address("example.com", ip_address("127.0.0.1")) is not None


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    folders.lock(tmp_path)
    with pytest.raises(folders.InUse, match="name another folder by --state"):
        folders.lock(tmp_path)


def test_a_process_takes_its_folder_before_it_touches_anything_in_it(tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    environment = {"HF_HOME": str(tmp_path)}
    first = typed("--volume", f"first={tmp_path / 'adapters'}", "--state", str(tmp_path / "state"))
    settings, _ = instead_of_a_pod.prepare(first, environment)
    with pytest.raises(folders.InUse):
        instead_of_a_pod.prepare(typed("--state", str(tmp_path / "state")), environment)
    assert (settings.volumes_root / "first").is_dir()


def test_the_hubs_token_is_that_of_the_variable_or_of_the_login(tmp_path: Path) -> None:
    home = tmp_path / "hub"
    home.mkdir()
    assert folders.credentials(tmp_path, {}, {"HF_HOME": str(home)}) == (tmp_path / "credentials", False)
    (home / "token").write_text("from-login")
    root, has = folders.credentials(tmp_path, {}, {"HF_HOME": str(home)})
    assert has
    assert (root / "huggingface" / "token").read_text() == "from-login"
    root, _ = folders.credentials(tmp_path, {}, {"HF_HOME": str(home), "HF_TOKEN": "from-variable"})
    assert [stat.S_IMODE(path.stat().st_mode) for path in (root / "huggingface", root / "huggingface" / "token")] == [
        0o700, 0o600,
    ], "for nobody else's eyes"  # fmt: skip
    assert (root / "huggingface" / "token").read_text() == "from-variable"
    assert (home / "token").read_text() == "from-login", "the link is replaced, not followed"
