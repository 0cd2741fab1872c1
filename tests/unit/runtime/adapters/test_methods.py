"""Each method does to every module what PEFT's add_weighted_adapter does, in float32."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.utils.merge_utils import ties
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForCausalLM

from lora_api.runtime_api import BlendedPart, Recipe, RevisionSpec
from lora_api.v1alpha1.adapter import Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_runtime.adapters.blend import blend, publish, published_energy
from lora_runtime.adapters.factors import Factors, merge, svd
from support.edits import edit_tensors
from support.models import reference_logprobs, tiny_adapter, tiny_base
from unit.runtime.adapters.leaves import Weighted, leaf, leaves_of

Deltas = Mapping[str, torch.Tensor]

PLAIN: dict[str, Any] = {"r": 8, "alpha": 16}
RSLORA: dict[str, Any] = {"r": 4, "alpha": 6, "use_rslora": True}
OTHER_MODULES: dict[str, Any] = {
    "r": 6,
    "alpha": 9,
    "target_modules": ["q_proj", "k_proj", "down_proj"],
    "rank_pattern": {"down_proj": 2},
    "alpha_pattern": {"k_proj": 5},
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As where blends are computed; more threads only get into each other's way on matrices of this size."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def three(base: Path, tmp_path: Path) -> tuple[Path, Path, Path]:
    """Adapters that differ in rank, scaling and target modules."""
    plain, rslora, other = (
        tiny_adapter(tmp_path / name, base, seed=seed, **lora)
        for name, seed, lora in (("plain", 1, PLAIN), ("rs", 2, RSLORA), ("other", 3, OTHER_MODULES))
    )
    return plain, rslora, other


def deltas_of(recipe: Recipe, *parts: Weighted, precision: Precision = Precision.AUTO) -> Deltas:
    """By module: the dense effect of what is made."""
    made = blend(recipe, leaves_of(parts)[1], precision).tensors
    names = {key.removeprefix("base_model.model.").rsplit(".lora_", 1)[0] for key in made}
    keys = {
        name: (f"base_model.model.{name}.lora_B.weight", f"base_model.model.{name}.lora_A.weight") for name in names
    }
    return {name: made[b].float() @ made[a].float() for name, (b, a) in keys.items()}


def deltas_of_peft(base: Path, combination: str, *parts: Weighted, **options: Any) -> Deltas:
    """The same of add_weighted_adapter."""
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), parts[0][0], adapter_name="0"
    )
    for index, (folder, _) in enumerate(parts[1:], start=1):
        model.load_adapter(folder, adapter_name=str(index))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model.base_model.add_weighted_adapter(
            [str(index) for index in range(len(parts))], [weight for _, weight in parts], "made", combination, **options
        )
    layers = {name: layer for name, layer in model.base_model.model.named_modules() if isinstance(layer, LoraLayer)}
    return {name: layer.get_delta_weight("made").detach() for name, layer in layers.items() if "made" in layer.lora_A}


def assert_same(found: Deltas, expected: Deltas, tolerance: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    for name, delta in expected.items():
        torch.testing.assert_close(found[name], delta, atol=tolerance, rtol=1e-5)


class SameMasks(TorchFunctionMode):
    """Draws the same masks whoever asks: the first for a shape, the second for it, and so on."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self._period = period
        self._drawn: Counter[torch.Size] = Counter()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not torch.bernoulli:
            return func(*args, **(kwargs or {}))
        (chances,) = args
        turn = self._drawn[chances.shape] % self._period
        self._drawn[chances.shape] += 1
        generator = torch.Generator().manual_seed(turn)
        return (torch.rand(chances.shape, generator=generator) < chances).float()


@pytest.mark.parametrize("weights", [(0.7, 0.5, 0.25), (1.0, -0.5, 2.0), (-1.5, 0.3, 1.0)])
def test_concat_equals_peft_s_cat(
    base: Path, three: tuple[Path, Path, Path], weights: tuple[float, float, float]
) -> None:
    parts = list(zip(three, weights, strict=True))
    leaves, _ = leaves_of(parts)
    assert_same(deltas_of(Recipe(parts=leaves), *parts), deltas_of_peft(base, "cat", *parts))


@pytest.mark.parametrize("rank", [3, 8, 12])
@pytest.mark.parametrize("weights", [(0.7, 0.5, 0.25), (1.0, -0.5, 2.0)])
def test_svd_through_the_factors_equals_peft_s_svd_of_the_dense_sum(
    base: Path, three: tuple[Path, Path, Path], weights: tuple[float, float, float], rank: int
) -> None:
    parts = list(zip(three, weights, strict=True))
    recipe = Recipe(parts=leaves_of(parts)[0], method=BlendMethod.SVD, rank=rank)
    found = deltas_of(recipe, *parts)
    # PEFT's own float32 is the less exact one, where the first value that is cut is close to the last that is kept
    assert_same(found, deltas_of_peft(base, "svd", *parts, svd_rank=rank), tolerance=5e-5)
    for name, delta in deltas_of_peft(base, "cat", *parts).items():
        u, values, vh = torch.linalg.svd(delta.double(), full_matrices=False)
        best = (u[:, :rank] * values[:rank]) @ vh[:rank]
        torch.testing.assert_close(found[name].double(), best, atol=1e-5, rtol=1e-5)


def test_the_kept_energy_is_that_of_the_singular_values_of_the_dense_sum(
    base: Path, three: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    parts = list(zip(three, (0.7, -0.5, 0.25), strict=True))
    leaves, files = leaves_of(parts)
    values = [torch.linalg.svdvals(delta.double()) for delta in deltas_of_peft(base, "cat", *parts).values()]
    expected = sum(float(v[:5].square().sum()) for v in values) / sum(float(v.square().sum()) for v in values)

    spec = RevisionSpec.of(leaves, BlendMethod.SVD, Precision.AUTO, rank=5)
    publish(spec, files, tmp_path)

    assert 0.3 < expected < 0.95
    assert blend(spec, files, Precision.AUTO).energy == pytest.approx(expected, abs=1e-6)
    assert published_energy(tmp_path) == pytest.approx(expected, abs=1e-4)


def test_a_concatenation_has_cut_nothing_and_says_nothing(three: tuple[Path, Path, Path], tmp_path: Path) -> None:
    leaves, files = leaves_of([(three[0], 1.0)])
    publish(RevisionSpec.of(leaves, BlendMethod.CONCAT, Precision.AUTO), files, tmp_path)
    assert published_energy(tmp_path) is None


def test_svd_at_the_full_rank_keeps_everything(three: tuple[Path, Path, Path]) -> None:
    parts = list(zip(three, (0.7, -0.5, 0.25), strict=True))
    leaves, files = leaves_of(parts)
    recipe = Recipe(parts=leaves, method=BlendMethod.SVD, rank=18)
    assert blend(recipe, files, Precision.AUTO).energy == 1
    assert_same(deltas_of(recipe, *parts), deltas_of(Recipe(parts=leaves), *parts))


@pytest.mark.parametrize("density", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("weights", [(0.7, 0.5, 0.25), (1.0, -0.5, 2.0)])
def test_ties_equals_peft_s_ties_svd(
    base: Path, three: tuple[Path, Path, Path], weights: tuple[float, float, float], density: float
) -> None:
    parts = list(zip(three, weights, strict=True))
    recipe = Recipe(parts=leaves_of(parts)[0], method=BlendMethod.TIES, rank=10, density=density)
    assert_same(deltas_of(recipe, *parts), deltas_of_peft(base, "ties_svd", *parts, svd_rank=10, density=density))


@pytest.mark.parametrize("density", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("weights", [(0.7, 0.5), (1.0, -0.5)])
def test_dare_equals_peft_s_dare_linear_svd_with_the_same_mask(
    base: Path, three: tuple[Path, Path, Path], weights: tuple[float, float], density: float
) -> None:
    parts = list(zip(three[:2], weights, strict=True))
    recipe = Recipe(parts=leaves_of(parts)[0], method=BlendMethod.DARE, rank=12, density=density, seed=0)
    with SameMasks(len(parts)):
        found = deltas_of(recipe, *parts)
    with SameMasks(len(parts)):
        expected = deltas_of_peft(base, "dare_linear_svd", *parts, svd_rank=12, density=density)
    assert_same(found, expected)


def test_dare_drops_the_same_for_the_same_seed_and_leaves_other_randomness_alone(
    three: tuple[Path, Path, Path],
) -> None:
    parts = [(three[0], 1.0)]
    leaves, _ = leaves_of(parts)
    one, again, other = (
        deltas_of(Recipe(parts=leaves, method=BlendMethod.DARE, rank=8, density=0.5, seed=seed), *parts)
        for seed in (0, 0, 1)
    )
    before = torch.get_rng_state()
    deltas_of(Recipe(parts=leaves, method=BlendMethod.DARE, rank=8, density=0.5, seed=0), *parts)

    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.allclose(one[name], other[name]) for name in one)


def test_dare_drops_other_values_in_each_module(base: Path, tmp_path: Path) -> None:
    parts = [(tiny_adapter(tmp_path / "a", base, seed=1, target_modules=["q_proj"]), 1.0)]
    leaves, _ = leaves_of(parts)
    full = deltas_of(Recipe(parts=leaves), *parts)
    made = deltas_of(Recipe(parts=leaves, method=BlendMethod.DARE, rank=128, density=0.5, seed=0), *parts)
    first, second = ((made[name].abs() > full[name].abs()) for name in sorted(made))
    assert 0.4 < float((first == second).float().mean()) < 0.6


@pytest.mark.parametrize("inner", [BlendMethod.SVD, BlendMethod.TIES])
@pytest.mark.parametrize("outer", [BlendMethod.CONCAT, BlendMethod.SVD, BlendMethod.TIES])
def test_a_blend_of_blends_equals_peft_on_the_published_member(
    base: Path, three: tuple[Path, Path, Path], tmp_path: Path, inner: BlendMethod, outer: BlendMethod
) -> None:
    first, second, third = three
    within = Recipe(
        parts=(leaf(first, 0.7), leaf(second, -0.5)),
        method=inner,
        rank=6,
        density=0.4 if inner is BlendMethod.TIES else None,
    )
    member = tmp_path / "member"
    member.mkdir()
    spec = RevisionSpec.of(within.parts, inner, Precision.AUTO, rank=within.rank, density=within.density)
    publish(spec, leaves_of([(first, 0), (second, 0)])[1], member)
    options = {"rank": 9} if outer is BlendMethod.SVD else {"rank": 9, "density": 0.6}
    recipe = Recipe(
        parts=(BlendedPart(recipe=within, weight=0.8), leaf(third, 0.6)),
        method=outer,
        **({} if outer is BlendMethod.CONCAT else options),
    )

    found = deltas_of(recipe, *((folder, 0.0) for folder in three))

    expected = {
        BlendMethod.CONCAT: lambda *parts: deltas_of_peft(base, "cat", *parts),
        BlendMethod.SVD: lambda *parts: deltas_of_peft(base, "svd", *parts, svd_rank=9),
        BlendMethod.TIES: lambda *parts: deltas_of_peft(base, "ties_svd", *parts, svd_rank=9, density=0.6),
    }[outer]((member, 0.8), (third, 0.6))
    assert_same(found, expected)


def test_what_cancels_out_has_no_effect_and_is_not_a_division_by_zero(
    base: Path, three: tuple[Path, Path, Path]
) -> None:
    leaves, files = leaves_of([(three[0], 1.0), (three[0], -1.0)])
    made = blend(Recipe(parts=leaves, method=BlendMethod.SVD, rank=4), files, Precision.AUTO)
    assert made.energy is not None
    assert 0 <= made.energy <= 1
    assert all(float(t.abs().max()) < 1e-6 for key, t in made.tensors.items() if "lora_B" in key)


@pytest.mark.parametrize("method", [BlendMethod.SVD, BlendMethod.TIES, BlendMethod.DARE])
@pytest.mark.parametrize(("precision", "dtype"), [
    (Precision.FLOAT32, torch.float32), (Precision.BFLOAT16, torch.bfloat16), (Precision.FLOAT16, torch.float16),
])  # fmt: skip
def test_every_method_computes_in_float32_and_rounds_once(
    three: tuple[Path, Path, Path], method: BlendMethod, precision: Precision, dtype: torch.dtype
) -> None:
    leaves, files = leaves_of([(three[0], 0.7), (three[1], 0.5)])
    recipe = Recipe(
        parts=leaves,
        method=method,
        rank=6,
        density=None if method is BlendMethod.SVD else 0.5,
        seed=7 if method is BlendMethod.DARE else None,
    )
    exact, rounded = (blend(recipe, files, p).tensors for p in (Precision.AUTO, precision))
    assert all(torch.equal(rounded[key], exact[key].to(dtype)) for key in exact)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")
@pytest.mark.parametrize("method", [BlendMethod.SVD, BlendMethod.TIES])
def test_an_embedding_and_an_output_layer_may_be_blended_too(base: Path, tmp_path: Path, method: BlendMethod) -> None:
    adapter = tiny_adapter(tmp_path / "a", base, seed=1, target_modules=["embed_tokens", "lm_head", "q_proj"])
    # PEFT would put the random embeddings that stand beside this adapter in place of the base model's
    edit_tensors(adapter, lambda tensors: [tensors.pop(n) for n in list(tensors) if "base_layer" in n])
    leaves, files = leaves_of([(adapter, 0.6)])
    made = tmp_path / "made"
    made.mkdir()
    # one member at density 1 and full rank is itself, whatever the method
    density = 1.0 if method is BlendMethod.TIES else None
    publish(RevisionSpec.of(leaves, method, Precision.AUTO, rank=8, density=density), files, made)
    prompt = (5, 17, 101, 33, 260, 8)
    found, expected = (reference_logprobs(base, [part], prompt) for part in ((made, 1.0), (adapter, 0.6)))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_large_merge_is_cut_as_well_as_the_best_without_the_time_it_takes() -> None:
    draw = torch.Generator().manual_seed(0)
    sides = ((1100, 8), (8, 1300))
    terms = [Factors(torch.randn(sides[1], generator=draw), torch.randn(sides[0], generator=draw)) for _ in range(2)]
    merged = ties([term.dense for term in terms], torch.tensor([1.0, 0.5]), 0.3)
    squares = torch.linalg.svdvals(merged.double()).square()

    factors, energy = merge(BlendMethod.TIES, terms, [1.0, 0.5], density=0.3, seed=1, rank=16)
    again, _ = merge(BlendMethod.TIES, terms, [1.0, 0.5], density=0.3, seed=1, rank=16)

    assert energy.share == pytest.approx(float(squares[:16].sum() / squares.sum()), rel=1e-5)
    lost = (merged.double() - factors.dense.double()).square().sum()
    assert float(lost) == pytest.approx(float(squares[16:].sum()), rel=1e-5)
    assert torch.equal(factors.dense, again.dense)


def test_svd_takes_the_scale_of_what_it_cuts() -> None:
    draw = torch.Generator().manual_seed(0)
    effect = Factors(torch.randn(3, 20, generator=draw), torch.randn(30, 3, generator=draw), scale=-0.5)
    torch.testing.assert_close(svd(effect, 3)[0].dense, effect.dense, atol=1e-5, rtol=1e-5)
