"""The command that makes the folder of a mixture."""

from pathlib import Path

import pytest

from lora_runtime.mixture import package
from lora_runtime.mixture.__main__ import main
from support import mixtures
from support.models import tiny_base


def test_it_makes_a_mixture_of_adapters_and_says_that_it_has_learnt_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tiny_base(tmp_path / "base")
    experts = [f"--expert={place.name}={place}" for place in mixtures.tiny_experts(tmp_path, base)]
    main([str(base), str(tmp_path / "out"), *experts, '--options={"top_k_lora": 2}'])
    assert capsys.readouterr().out.endswith(
        "3 experts on 14 modules; its classifier is untrained: its scalings mean nothing yet\n"
    )
    assert package.read(tmp_path / "out").options.top_k_lora == 2


def test_it_leaves_nothing_where_it_refuses(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="folder empty has no adapter_config"):
        main([str(base), str(tmp_path / "out"), f"--checkpoint={tmp_path / 'empty'}"])
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit, match="is there already"):
        main([str(base), str(base), f"--checkpoint={tmp_path / 'empty'}"])


def test_options_replace_those_of_a_checkpoint(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    model = mixtures.in_peft(base, mixtures.tiny_experts(tmp_path, base))
    checkpoint = mixtures.save(model, tmp_path / "checkpoint")
    main([str(base), str(tmp_path / "out"), f"--checkpoint={checkpoint}", '--options={"softmax_temperature": 0.25}'])
    assert package.read(tmp_path / "out").options.softmax_temperature == 0.25


def test_an_option_that_is_misspelt_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path), str(tmp_path / "out"), f"--expert=a={tmp_path}", '--options={"top_k": 2}'])
    assert "no option top_k, but hidden_size," in capsys.readouterr().err
