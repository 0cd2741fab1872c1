"""What is typed behind `lora-runtime serve`, and the folders that stand for a pod's mounts."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from lora_api.accelerators import PROFILES
from lora_api.v1alpha1.model import AcceleratorType
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
    (("--max-rank", "0"), "greater than or equal to 1"),
    (("--served-model-name", "a b"), "must be letters, digits and . _ / -"),
])  # fmt: skip
def test_what_cannot_be_meant_is_said_at_once(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        typed(*arguments)
    assert says in capsys.readouterr().err


def test_a_machine_gets_the_settings_of_a_pod(tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    found = typed("--volume", f"shared={tmp_path / 'adapters'}", "--state", str(tmp_path / "state"))
    settings, declared = instead_of_a_pod.prepare(found, {"HF_HOME": str(tmp_path)})
    assert (settings.volumes_root / "shared").resolve() == tmp_path / "adapters"
    assert (settings.volumes_root / "disk").resolve() == Path("/")
    assert settings.served_name == "smol"
    assert settings.egress.allows_address(settings.egress.allowed_addresses[0][1])
    assert not declared.hub_token


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    folders.lock(tmp_path)
    with pytest.raises(folders.InUse, match="name another folder by --state"):
        folders.lock(tmp_path)


def test_the_hubs_token_is_that_of_the_variable_or_of_the_login(tmp_path: Path) -> None:
    home = tmp_path / "hub"
    home.mkdir()
    assert folders.credentials(tmp_path, {}, {"HF_HOME": str(home)}) == (tmp_path / "credentials", False)
    (home / "token").write_text("from-login")
    root, has = folders.credentials(tmp_path, {}, {"HF_HOME": str(home)})
    assert has
    assert (root / "huggingface" / "token").read_text() == "from-login"
    root, _ = folders.credentials(tmp_path, {}, {"HF_HOME": str(home), "HF_TOKEN": "from-variable"})
    assert (root / "huggingface" / "token").read_text() == "from-variable"
    assert (home / "token").read_text() == "from-login", "the link is replaced, not followed"
