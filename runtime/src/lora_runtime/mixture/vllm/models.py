"""The model classes that vLLM serves a mixture with, one for each architecture."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import torch
from vllm.compilation.decorators import support_torch_compile
from vllm.config import VllmConfig
from vllm.model_executor.layers.logits_processor import LogitsProcessor
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
from vllm.model_executor.models.llama import LlamaModel
from vllm.model_executor.models.mistral import MistralModel
from vllm.model_executor.models.qwen2 import Qwen2Model
from vllm.model_executor.models.utils import AutoWeightsLoader, maybe_prefix
from vllm.sequence import IntermediateTensors

from lora_runtime.mixture import scalings
from lora_runtime.mixture.classifier import Classifier, Linear
from lora_runtime.mixture.package import Mixture, keeps_scalings, read
from lora_runtime.mixture.shapes import difference, shape_of
from lora_runtime.mixture.vllm.experts import Experts
from lora_runtime.mixture.vllm.gates import Gates
from lora_runtime.mixture.vllm.recorder import Recorder
from lora_runtime.mixture.vllm.requirements import Unlike, check
from lora_runtime.mixture.vllm.stacks import Builder


class _TwoRuns:
    """The decoder of one of vLLM's models, run twice: comes before that model's class."""

    layers: torch.nn.ModuleList
    norm: torch.nn.Module

    def _mix(self, vllm_config: VllmConfig, prefix: str) -> None:
        mixture = read(Path(vllm_config.model_config.model))
        experts = len(mixture.experts)
        builder = Builder(self.layers, mixture, vllm_config, prefix)
        like = torch.empty(0)
        self._options = mixture.options
        self.tells_scalings = keeps_scalings(Path(vllm_config.model_config.model))
        self._shape = shape_of(mixture)
        self.classifier = Classifier([Linear(c.weight.to(like), c.bias.to(like)) for c in mixture.classifier], experts)
        self._gates = Gates()
        self.mixed = builder.run(self._gates, own_attention=True)
        fixed = scalings.of_the_scaling_pass(experts, mixture.options)
        self.scaling_pass = self.layers
        if fixed is not None:
            # the same for every layer and token
            times = len(mixture.layers) if mixture.options.layerwise_scalings else 1
            gates = Gates()
            gates.open(fixed.repeat(times).to(like)[None])
            self.scaling_pass = builder.run(gates, own_attention=False)

    def exchange(self, mixture: Mixture) -> None:
        """Takes the experts and the classifier of another mixture, or nothing at all.

        Raises:
            Unlike: it differs from this one in more than values.
        """
        if (unlike := difference(self._shape, shape_of(mixture))) is not None:
            raise Unlike(f"the other mixture needs a new start: {unlike}")
        found = [module for module in self.modules() if isinstance(module, Experts)]  # type: ignore[attr-defined]
        # all of them before the first is taken
        others = [experts.of(mixture) for experts in found]
        for experts, other in zip(found, others, strict=True):
            experts.take(other)
        self.classifier.take(mixture.classifier)

    def forward(
        self,
        input_ids: torch.Tensor | None,
        positions: torch.Tensor,
        intermediate_tensors: IntermediateTensors | None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        embedded = self.embed_input_ids(input_ids) if inputs_embeds is None else inputs_embeds  # type: ignore[attr-defined]
        # norms write into the residual, which begins as what they are given
        hidden = self._run(self.scaling_pass, positions, embedded.clone())
        predicted = scalings.predicted(self.classifier(hidden), self._options)
        applied = scalings.applied(predicted, self._options)
        self._gates.open(applied)
        mixed = self._run(self.mixed, positions, embedded)
        self._gates.close()
        return (mixed, applied.flatten(1)) if self.tells_scalings else mixed

    def _run(self, layers: torch.nn.ModuleList, positions: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        residual = None
        for layer in layers:
            hidden, residual = layer(positions, hidden, residual)
        hidden, _ = self.norm(hidden, residual)
        return hidden


_DYNAMIC: dict[str, Any] = {
    "input_ids": {0: "b"},
    "positions": {0: "b"},
    "intermediate_tensors": {0: "b"},
    "inputs_embeds": {0: "b"},
}


@support_torch_compile(dynamic_arg_dims=_DYNAMIC)
class XLoraLlamaModel(_TwoRuns, LlamaModel):  # type: ignore[misc]
    """Llama's decoder."""

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__(vllm_config=vllm_config, prefix=prefix)
        self._mix(vllm_config, prefix)


@support_torch_compile(dynamic_arg_dims=_DYNAMIC)
class XLoraMistralModel(_TwoRuns, MistralModel):  # type: ignore[misc]
    """Mistral's decoder."""

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__(vllm_config=vllm_config, prefix=prefix)
        self._mix(vllm_config, prefix)


@support_torch_compile(dynamic_arg_dims=_DYNAMIC)
class XLoraQwen2Model(_TwoRuns, Qwen2Model):  # type: ignore[misc]
    """Qwen2's decoder."""

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__(vllm_config=vllm_config, prefix=prefix)
        self._mix(vllm_config, prefix)


class _XLoraForCausalLM(torch.nn.Module):
    """A decoder and its head, as vLLM wants them; it refuses LoRA adapters and pipelines by itself."""

    decoder: ClassVar[type[torch.nn.Module]]
    packed_modules_mapping: ClassVar = {
        "qkv_proj": ["q_proj", "k_proj", "v_proj"],
        "gate_up_proj": ["gate_proj", "up_proj"],
    }

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        check(vllm_config)
        config = vllm_config.model_config.hf_config
        self.model: Any = self.decoder(vllm_config=vllm_config, prefix=maybe_prefix(prefix, "model"))
        self.lm_head = ParallelLMHead(config.vocab_size, config.hidden_size, prefix=maybe_prefix(prefix, "lm_head"))
        if config.tie_word_embeddings:
            self.lm_head = self.lm_head.tie_weights(self.model.embed_tokens)
        layers: Any = self.model.layers
        self.recorder = Recorder(layers[0].self_attn.attn.layer_name)
        self.logits_processor = LogitsProcessor(config.vocab_size, scale=getattr(config, "logit_scale", 1.0))

    def embed_input_ids(self, input_ids: torch.Tensor) -> torch.Tensor:
        """See vLLM's VllmModel."""
        embedded: torch.Tensor = self.model.embed_input_ids(input_ids)
        return embedded

    def forward(
        self,
        input_ids: torch.Tensor | None,
        positions: torch.Tensor,
        intermediate_tensors: IntermediateTensors | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See vLLM's VllmModel."""
        found = self.model(input_ids, positions, intermediate_tensors, inputs_embeds)
        if not self.model.tells_scalings:
            plain: torch.Tensor = found
            return plain
        hidden: torch.Tensor
        hidden, scalings_of_tokens = found
        self.recorder.write(scalings_of_tokens)
        return hidden

    def compute_logits(self, hidden_states: torch.Tensor) -> torch.Tensor | None:
        """See vLLM's VllmModelForTextGeneration."""
        logits: torch.Tensor | None = self.logits_processor(self.lm_head, hidden_states)
        return logits

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        """Of the base model; the mixture's own were read when it was built."""
        loaded: set[str] = AutoWeightsLoader(self).load_weights(weights)
        return loaded


class XLoraLlamaForCausalLM(_XLoraForCausalLM):
    """Llama."""

    decoder = XLoraLlamaModel


class XLoraMistralForCausalLM(_XLoraForCausalLM):
    """Mistral."""

    decoder = XLoraMistralModel


class XLoraQwen2ForCausalLM(_XLoraForCausalLM):
    """Qwen2."""

    decoder = XLoraQwen2Model
