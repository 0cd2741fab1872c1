"""An adapter's files on this machine, held against a base model as a pod would."""

import sys
from pathlib import Path

import pytest

from lora_api.error_codes import ErrorCode
from lora_cli.adapter_checks import check
from lora_cli.domain.verdicts import Checked, Verdict
from lora_cli.errors import Failed
from support.gguf_adapters import write_gguf
from support.models import tiny_adapter, tiny_base
from support.stored import a_stored_model

ROOT = Path(__file__).resolve().parents[3]
SOUND = Checked(rank=8, modules=4, acts=True, trained_on="team/base", architecture="LlamaForCausalLM")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_base(tmp_path / "base")


def test_an_adapter_that_fits_is_known_by_the_files_of_both(base: Path, tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "adapter", base, seed=1)
    found = check(adapter, base, 64)
    assert (found.rank, found.modules, found.acts) == (8, 4, True)
    assert found.architecture == "LlamaForCausalLM"
    assert check(adapter, None, 64).architecture is None


def test_where_the_checks_are_not_installed_the_command_is_that_of_the_how_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lora_runtime.adapters.base", None)
    with pytest.raises(Failed, match="the checks are not installed here") as failed:
        check(tmp_path, None, 64)
    assert failed.value.then is not None
    command, _, where = failed.value.then.partition("  # ")
    assert f"`{command}`" in (ROOT / "docs" / "how-to" / "kubectl-lora.md").read_text()
    assert where == "in a checkout of lora-operator"


def test_a_gguf_file_is_held_against_its_base_and_cannot_be_without(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gguf"
    folder.mkdir()
    file = write_gguf(tiny_adapter(tmp_path / "adapter", base, seed=1), base, folder / "pirate.gguf")
    for place in (file, folder):
        assert (check(place, base, 64).rank, check(place, base, 64).modules) == (8, 4)
        with pytest.raises(Failed, match="give its folder with --base"):
            check(place, None, 64)


def test_one_that_does_not_fit_is_refused_in_the_words_of_a_pod(base: Path, tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"RankTooLarge: .*rank 8.*allows 4") as refused:
        check(tiny_adapter(tmp_path / "adapter", base, seed=1), base, 4)
    assert refused.value.code is ErrorCode.INCOMPATIBLE
    with pytest.raises(Failed, match="RankTooLarge"):
        check(tmp_path / "adapter", None, 4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(Failed, match=r"SourceNotFound: .*adapter_config\.json") as missing:
        check(tmp_path / "empty", None, 64)
    assert missing.value.code is ErrorCode.NOT_FOUND


def test_a_base_that_cannot_be_read_is_said(base: Path, tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"needs a config\.json"):
        check(tiny_adapter(tmp_path / "adapter", base, seed=1), tmp_path, 64)


def verdict(files: Checked | None, *, schema: bool = False) -> list[str]:
    return [line.text for line in Verdict("./pirate", a_stored_model(), schema=schema, files=files).lines()]


def test_a_verdict_says_what_was_not_checked() -> None:
    assert verdict(SOUND)[0] == "./pirate fits smol"
    assert any("every module and shape" in said for said in verdict(SOUND))
    shapeless = Checked(rank=8, modules=4, acts=False, trained_on="", architecture=None)
    assert "not all was checked" in verdict(shapeless)[0]
    assert any(said.startswith("not checked: modules and shapes") for said in verdict(shapeless))
    assert any("changes nothing" in said for said in verdict(shapeless))
    assert any(said.startswith("not checked: the files") for said in verdict(None, schema=True))
