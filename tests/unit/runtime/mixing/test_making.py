"""From a mixture's description to the folder that an engine serves, with a real store and real files."""

import shutil
from pathlib import Path

import pytest
import torch

from lora_api.mixture_api import MixtureSpec
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.base import load_base
from lora_runtime.adapters.errors import Refused
from lora_runtime.mixing.making import Made, MixtureMaker
from lora_runtime.mixture import package
from lora_runtime.workshop import Progress
from support import mixtures
from support.hub import running_hub
from support.mixture_pod import VOLUME, of_adapters, trained
from support.models import tiny_adapter, tiny_base
from support.stores import a_source, open_at
from unit.runtime.store.conftest import open_again


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_base(tmp_path / "base", initializer_range=mixtures.QUIET)


@pytest.fixture
def shelf(tmp_path: Path, base: Path) -> Path:
    """The volume, with three adapters and an X-LoRA of them."""
    shelf = tmp_path / "volumes" / VOLUME
    experts = [tiny_adapter(shelf / f"e{n}", base, seed=n + 1, alpha=4) for n in range(3)]
    mixtures.save(mixtures.in_peft(base, experts, **mixtures.EVERY_OPTION), shelf / "trained")
    return shelf


async def made(tmp_path: Path, base: Path, spec: MixtureSpec, *, scalings: bool = False) -> Made:
    """By a process that has just begun."""
    maker = MixtureMaker(open_at(tmp_path), scalings=scalings)
    maker.set_base(base, load_base(base))
    return await maker.make(spec, Progress(), lambda: None)


async def test_weights_scale_the_effects_of_experts_and_nothing_else(tmp_path: Path, base: Path, shelf: Path) -> None:
    def spec(weight: float) -> MixtureSpec:
        return of_adapters("aaaaaaaa", tmp_path / "volumes", [("e0", weight), ("e1", 1.0)], seed=3)

    plain, scaled = [package.read((await made(tmp_path, base, spec(weight))).folder) for weight in (1.0, -2.5)]
    for (layer, expert), effect in plain.effects.items():
        factor = -2.5 if expert == 0 else 1.0
        found = scaled.effects[layer, expert]
        assert torch.equal(found.a, effect.a)
        assert torch.allclose(found.b, factor * effect.b, rtol=1e-6, atol=0)
    assert not plain.trained
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(plain.classifier, scaled.classifier, strict=True))


async def test_a_trained_one_is_fetched_with_its_experts_and_pinned(tmp_path: Path, base: Path, shelf: Path) -> None:
    found = await made(tmp_path, base, trained("aaaaaaaa", "trained"))
    assert (found.experts, found.trained, len(found.shape.layers)) == (("e0", "e1", "e2"), True, 4)
    pinned = trained("bbbbbbbb", "trained").model_copy(update={"digest": found.digest})
    shutil.rmtree(shelf / "trained")
    again = await made(tmp_path, base, pinned)
    assert again == found, "what was made of the same bytes is used again, though their place is gone"


async def test_other_files_than_those_that_were_pinned_are_refused(tmp_path: Path, base: Path, shelf: Path) -> None:
    found = await made(tmp_path, base, trained("aaaaaaaa", "trained"))
    shutil.rmtree(shelf / "trained" / "1")
    shutil.copytree(shelf / "e0", shelf / "trained" / "1")
    other = await made(tmp_path, base, trained("aaaaaaaa", "trained"))
    assert other.digest != found.digest
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(Refused) as caught:
        await made(tmp_path, base, trained("bbbbbbbb", "trained").model_copy(update={"digest": found.digest}))
    assert caught.value.refusal.reason is Reason.DIGEST_MISMATCH


async def test_a_process_that_tells_scalings_or_has_another_base_model_takes_no_folder_of_one_that_did_not(
    tmp_path: Path, base: Path, shelf: Path
) -> None:
    spec = of_adapters("aaaaaaaa", tmp_path / "volumes", [("e0", 1.0), ("e1", 1.0)], seed=3)
    plain = await made(tmp_path, base, spec)
    telling = await made(tmp_path, base, spec, scalings=True)
    assert [package.keeps_scalings(one.folder) for one in (plain, telling)] == [False, True]
    other = shutil.copytree(base, tmp_path / "other")
    moved = await made(tmp_path, other, spec)
    assert (moved.folder / "model.safetensors").resolve().parent == other


async def test_all_experts_are_of_the_commit_that_the_classifier_is_of(tmp_path: Path, base: Path, shelf: Path) -> None:
    files = {str(p.relative_to(shelf / "trained")): p.read_bytes() for p in (shelf / "trained").rglob("*.*")}
    with running_hub() as hub:
        repo, commit = hub.repo("team/voices"), "c" * 40
        repo.commits[commit], repo.branches["main"] = files, commit
        maker = MixtureMaker(open_again(tmp_path, hub))
        maker.set_base(base, load_base(base))
        source = a_source("huggingFace", repo="team/voices")
        found = await maker.make(MixtureSpec(revision="aaaaaaaa", source=source), Progress(), lambda: None)
        looked_up = [path for _, path, _ in hub.requests if "/revision/main" in path]
    assert found.source == a_source("huggingFace", repo="team/voices", revision=commit)
    assert len(looked_up) == 1, "a branch may move between two looks"


async def test_a_damaged_folder_is_made_again(tmp_path: Path, base: Path, shelf: Path) -> None:
    spec = of_adapters("aaaaaaaa", tmp_path / "volumes", [("e0", 1.0), ("e1", 1.0)], seed=3)
    folder = (await made(tmp_path, base, spec)).folder
    tensors = folder / "xlora" / "mixture.safetensors"
    whole = tensors.read_bytes()
    tensors.write_bytes(whole[:-4] + b"\0\0\0\1")
    await made(tmp_path, base, spec)
    assert tensors.read_bytes() == whole


async def test_an_expert_that_is_not_there_is_named(tmp_path: Path, base: Path, shelf: Path) -> None:
    shutil.rmtree(shelf / "trained" / "2")
    with pytest.raises(Refused, match=f"volume {VOLUME} has no folder trained/2"):
        await made(tmp_path, base, trained("aaaaaaaa", "trained"))
