"""A mixture in a real vLLM against X-LoRA in PEFT and float32: every option at once, in every way that vLLM serves a request.

More architectures and settings: `make test-xlora`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import mixtures
from support.mixture_process import ServedMixture, farthest, start_mixture
from support.models import tiny_base

N = 40
TOLERANCE = 1e-5
"""Of log-probabilities; PEFT itself is about as far from its own float64."""
# Fewer tokens in a step than in a prompt; blocks for all prompts at once, but not for what is answered to them.
FLAGS = (
    "--enforce-eager", "--max-num-batched-tokens=32", "--max-num-seqs=8", "--max-model-len=192", "--num-gpu-blocks-override=11",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """The same mixture served and in PEFT."""

    served: ServedMixture
    base: Path
    model: Path
    experts: tuple[Path, ...]
    prompts: tuple[tuple[int, ...], ...]
    expected: tuple[mixtures.Answer, ...]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("mixture")
    base = tiny_base(folder / "base", initializer_range=mixtures.QUIET)
    experts = mixtures.tiny_experts(folder, base)
    model = mixtures.in_peft(base, experts, **mixtures.EVERY_OPTION)
    package = mixtures.packed(mixtures.save(model, folder / "checkpoint"), base, folder / "model")
    served = start_mixture(folder / "pod", package, flags=FLAGS)
    try:
        prompts = mixtures.prompts(6)
        expected = tuple(mixtures.answer(model, prompt, N) for prompt in prompts)
        served.wait_until_ready()
        yield Place(served, base, package, experts, prompts, expected)
    finally:
        served.stop()


def test_prompts_longer_than_a_step_are_answered_as_by_peft(place: Place) -> None:
    assert max(map(len, place.prompts)) > 2 * 32, "prefill takes several steps"
    for prompt, expected in zip(place.prompts, place.expected, strict=True):
        found = place.served.complete(prompt, N)
        assert found.tokens == expected.tokens
        assert farthest(found, expected) < TOLERANCE


def test_cached_prefixes_keep_their_scalings(place: Place) -> None:
    prompt, expected = place.prompts[0], place.expected[0]
    place.served.complete(prompt, 1)
    before = place.served.metric("vllm:prefix_cache_hits_total")
    again = place.served.complete(prompt, N)
    assert place.served.metric("vllm:prefix_cache_hits_total") - before == 64, "all but the last block"
    assert again.tokens == expected.tokens
    assert farthest(again, expected) < TOLERANCE


def test_requests_at_once_are_answered_as_alone_even_when_some_are_preempted(place: Place) -> None:
    place.served.reset_prefix_cache()
    before = place.served.metric("vllm:num_preemptions_total")
    found = place.served.complete_all(place.prompts, N)
    assert place.served.metric("vllm:num_preemptions_total") > before
    assert [one.tokens for one in found] == [expected.tokens for expected in place.expected]
    assert max(map(farthest, found, place.expected)) < TOLERANCE


def test_another_mixture_of_the_same_shapes_takes_its_place_without_a_new_start(place: Place, tmp_path: Path) -> None:
    model = mixtures.in_peft(
        place.base, mixtures.tiny_experts(tmp_path, place.base, seed=11), seed=6, **mixtures.EVERY_OPTION
    )
    other = mixtures.packed(mixtures.save(model, tmp_path / "checkpoint"), place.base, tmp_path / "model")
    prompt = place.prompts[0]
    expected = mixtures.answer(model, prompt, 8)
    place.served.complete(prompt, 8)
    try:
        assert place.served.exchange(other).status_code == 200
        assert farthest(place.served.complete(prompt, 8), expected) > 1000 * TOLERANCE, "cached of the one before"
        place.served.reset_prefix_cache()
        found = place.served.complete(prompt, 8)
        assert found.tokens == expected.tokens
        assert farthest(found, expected) < TOLERANCE
    finally:
        assert place.served.exchange(place.model).status_code == 200
        place.served.reset_prefix_cache()


def test_a_mixture_of_other_shapes_is_refused_and_nothing_has_changed(place: Place, tmp_path: Path) -> None:
    model = mixtures.in_peft(place.base, place.experts[::-1], **mixtures.EVERY_OPTION)
    other = mixtures.packed(mixtures.save(model, tmp_path / "checkpoint"), place.base, tmp_path / "model")
    refused = place.served.exchange(other)
    assert refused.status_code == 500
    assert "the other mixture needs a new start: expert 0 has rank" in place.served.tail(200)
    place.served.reset_prefix_cache()
    assert farthest(place.served.complete(place.prompts[0], N), place.expected[0]) < TOLERANCE


@pytest.mark.parametrize("error", mixtures.Error)
def test_an_error_in_the_scalings_would_be_seen(place: Place, error: mixtures.Error) -> None:
    prompt = place.prompts[0]
    wrong = mixtures.in_peft(place.base, place.experts, error=error, **mixtures.EVERY_OPTION)
    found = place.served.complete(prompt, 1)
    assert farthest(found, mixtures.answer(wrong, prompt, 1)) > 1000 * TOLERANCE
