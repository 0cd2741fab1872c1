"""From a token's hidden state to the scalings of its experts, held against PEFT's own modules, bit for bit."""

import warnings
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import XLoraConfig
from peft.tuners.xlora.classifier import XLoraClassifier
from peft.tuners.xlora.layer import XLoraLayer

from lora_runtime.mixture import scalings
from lora_runtime.mixture.checkpoint import layer_numbers, options_of
from lora_runtime.mixture.classifier import Classifier, Linear, shape_of, untrained

EXPERTS, LAYERS, HIDDEN = 5, 4, 16

CHOICES: dict[str, tuple[Any, ...]] = {
    "xlora_depth": (1, 3),
    "xlora_dropout_p": (0.0, 0.2),
    "layerwise_scalings": (False, True),
    "enable_softmax": (False, True),
    "softmax_temperature": (1.0, 0.3),
    "top_k_lora": (None, 2),
    "enable_softmax_topk": (False, True),
    "global_scaling_weight": (1.0, 1.7),
}
EVERY = [dict(zip(CHOICES, values, strict=True)) for values in product(*CHOICES.values())]


def config(**options: Any) -> XLoraConfig:
    with warnings.catch_warnings():
        # PEFT warns of combinations that it computes all the same
        warnings.simplefilter("ignore")
        return XLoraConfig(hidden_size=HIDDEN, adapters={str(n): "" for n in range(EXPERTS)}, xlora_size=8, **options)


def peft_applied(theirs: XLoraConfig, found: torch.Tensor) -> torch.Tensor:
    layers = [XLoraLayer(None, None, None, number, theirs) for number in range(LAYERS)]
    each = [layer.get_maybe_topk_scalings(found) for layer in layers]
    stacked: torch.Tensor = torch.stack(each, dim=2) * theirs.global_scaling_weight
    return stacked


@pytest.mark.parametrize("options", EVERY[:: len(EVERY) // 8], ids=str)
def test_a_classifier_that_was_read_gives_what_pefts_gives(options: dict[str, Any]) -> None:
    theirs = config(**options)
    torch.manual_seed(0)
    classifier = XLoraClassifier(torch.nn.Linear(1, 1), theirs, EXPERTS, LAYERS, torch.device("cpu")).eval()
    ours = options_of(theirs.to_dict())
    linears = [Linear(part.weight, part.bias) for part in (classifier.layers[n] for n in layer_numbers(ours))]
    hidden = torch.randn(2, 7, HIDDEN)
    with torch.inference_mode():
        want = classifier(SimpleNamespace(hidden_states=[hidden]), input_ids=torch.zeros(2, 7))
        found = scalings.predicted(Classifier(linears, EXPERTS)(hidden.flatten(0, 1)), ours)
    assert torch.equal(found.expand(-1, LAYERS, -1), want.flatten(0, 1))


@pytest.mark.parametrize("options", EVERY, ids=str)
def test_scalings_are_applied_as_peft_applies_them(options: dict[str, Any]) -> None:
    theirs = config(**options)
    torch.manual_seed(0)
    found = torch.randn(2, 7, LAYERS, EXPERTS)
    found[0, 0] = 0
    found[1, 0, 0, :3] = 0
    assert torch.equal(scalings.applied(found, options_of(theirs.to_dict())), peft_applied(theirs, found))


@pytest.mark.parametrize("value", [0.0, 0.4, -1.0])
@pytest.mark.parametrize("options", EVERY[::7], ids=str)
def test_the_scaling_pass_has_what_peft_makes_of_its_value(options: dict[str, Any], value: float) -> None:
    theirs = config(scaling_pass_value=value, **options)
    want = peft_applied(theirs, torch.full((1, 1, LAYERS, EXPERTS), value))
    found = scalings.of_the_scaling_pass(EXPERTS, options_of(theirs.to_dict()))
    assert torch.equal(torch.zeros(EXPERTS) if found is None else found, want[0, 0, 0])
    assert (found is None) == (value == 0)


def test_an_untrained_classifier_has_the_shape_that_peft_would_give_it() -> None:
    for options in EVERY:
        theirs = config(**options)
        classifier = XLoraClassifier(torch.nn.Linear(1, 1), theirs, EXPERTS, LAYERS, torch.device("cpu"))
        want = [tuple(part.weight.shape) for part in classifier.layers if isinstance(part, torch.nn.Linear)]
        shape = shape_of(options_of(theirs.to_dict()), experts=EXPERTS, layers=LAYERS)
        assert [tuple(linear.weight.shape) for linear in untrained(shape, seed=1)] == want
