"""The part of a LoRAModel that makes an X-LoRA of it (arXiv 2402.07148): several adapters, mixed for each token."""

from typing import Annotated

from pydantic import ConfigDict, Field

from lora_api.v1alpha1 import common
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.blend import Weight

MAX_EXPERTS = 64
"""Of any mixture, trained or of adapters."""
_LARGEST = 10_000
Bounded = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]


class MixtureExpertRef(common.ApiModel):
    """A LoRAAdapter as one expert."""

    adapter_ref: common.ObjectRef = Field(
        description=(
            "A LoRAAdapter with a source, in the same namespace, of a plain LoRAModel of the same base model. It is served "
            "there as ever; what is found for it there is pinned here."
        )
    )
    weight: Weight = Field(default=1.0, description="Scales the expert's effect; multiplied with its own spec.weight.")


class MixtureClassifier(common.ApiModel):
    """The shape of a classifier that is yet to be trained."""

    depth: int = Field(default=1, ge=1, le=64, description="Linear layers; PEFT's xlora_depth.")
    size: int = Field(default=2048, ge=1, le=65536, description="Width between them; PEFT's xlora_size.")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Decides its values; the same seed gives the same.")


class MixtureConfig(common.ApiModel):
    """Options of PEFT's XLoraConfig that decide what is answered. With mixture.source, what is set replaces the checkpoint's."""

    layerwise_scalings: bool | None = Field(
        default=None,
        description="A scaling for each adapted module, or one for all of them (default). Only with mixture.experts.",
    )
    enable_softmax: bool | None = Field(default=None, description="A softmax over the scalings; true when unset.")
    softmax_temperature: float | None = Field(
        default=None, gt=0, le=_LARGEST, description="Divides the scalings before the softmax; 1 when unset."
    )
    top_k: int | None = Field(
        default=None,
        ge=1,
        le=MAX_EXPERTS,
        description="Experts of a token and module that are kept; all when unset. PEFT's top_k_lora.",
    )
    enable_softmax_topk: bool | None = Field(
        default=None, description="A softmax over those that topK keeps; false when unset."
    )
    global_scaling_weight: Bounded | None = Field(
        default=None, description="Scales the effect of all experts; 1 when unset."
    )
    scaling_pass_value: Bounded | None = Field(
        default=None,
        description="Scaling of every expert while the classifier's input is computed; 0, the plain base model, when unset.",
    )


class Mixture(common.ApiModel):
    """An X-LoRA: trained, or made of adapters with a classifier that is yet to be trained."""

    model_config = ConfigDict(
        json_schema_extra=common.cel(
            (
                "[has(self.source), has(self.experts)].exists_one(set, set)",
                "exactly one of source, experts must be set",
            ),
            ("!has(self.classifier) || has(self.experts)", "classifier may only be set together with experts"),
            (
                "!has(self.source) || !has(self.config) || !has(self.config.layerwiseScalings)",
                "config.layerwiseScalings may only be set together with experts: a trained classifier has its own",
            ),
            (
                "!has(self.experts) || !has(self.config) || !has(self.config.topK) || self.config.topK <= size(self.experts)",
                "config.topK must not be greater than the number of experts",
            ),
            (
                "!has(self.source) || !has(self.source.oci)",
                "source.oci may not be set: an artifact has no folders for the experts; use another place",
            ),
            (
                "!has(self.source) || !has(self.source.pollSeconds)",
                "source.pollSeconds may not be set: change the annotation lora-operator.io/refresh to look again",
            ),
        )
    )

    source: AdapterSource | None = Field(
        default=None,
        description=(
            "Where a trained X-LoRA is, as PEFT saves it: adapter_config.json and adapter_model.safetensors with the "
            "classifier, and the experts in the folders 0, 1 and so on."
        ),
    )
    experts: tuple[MixtureExpertRef, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_EXPERTS,
        description="Adapters to mix, in the order in which the classifier numbers them; instead of a source.",
        json_schema_extra=common.cel(
            (
                "self.all(e, self.exists_one(other, other.adapterRef.name == e.adapterRef.name))",
                "must name each adapter once",
            )
        ),
    )
    classifier: MixtureClassifier | None = Field(
        default=None, description="Of experts: the classifier, which is untrained; its scalings mean nothing yet."
    )
    config: MixtureConfig = Field(default=MixtureConfig(), description="How the scalings are computed.")
    scalings_kept: int = Field(
        default=0,
        ge=0,
        le=1024,
        description=(
            "Of so many of the last generations, one for each prompt, each pod keeps which expert had how much weight at each "
            "token and layer, for GET /v1/xlora/scalings/ID; 0 keeps none. A change restarts the pods, one by one."
        ),
    )


class MixtureStatus(common.ApiModel):
    """What the pods say of the mixture."""

    revision: str | None = Field(
        default=None, max_length=64, description="What is wanted, in one word: a hash of digests, weights and options."
    )
    serving: str | None = Field(
        default=None, max_length=64, description="The revision that all ready pods serve, if it is one."
    )
    digest: str | None = Field(default=None, max_length=71, description="Digest of the files of spec.mixture.source.")
    resolved_source: AdapterSource | None = Field(
        default=None, description="The place in spec.mixture.source, pinned: with a commit or ETags."
    )
    source_hash: str | None = Field(
        default=None,
        max_length=64,
        description="Hash of the spec.mixture.source that resolvedSource and digest were found for.",
    )
    experts: int = Field(default=0, ge=0, description="How many experts there are.")
    layers: int = Field(default=0, ge=0, description="Modules that any of them adapts.")
    trained: bool | None = Field(
        default=None, description="Whether the classifier is trained; if not, its scalings mean nothing."
    )
