"""What the operator and the runtime say to each other of an X-LoRA: parts of the desired document and of the inventory."""

import hashlib
import json
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, model_validator

from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.mixture import MAX_EXPERTS, MixtureConfig
from lora_api.wire import Digest, Revision, ToldReason, WireModel


class MixtureExpert(WireModel):
    """One adapter among the experts, in the order in which the classifier numbers them."""

    name: str
    """For people: the LoRAAdapter's."""
    source: AdapterSource
    """Pinned, as in a Part."""
    digest: Digest
    """Digest of the files; a pod that finds other bytes refuses them."""
    weight: float = Field(default=1.0, allow_inf_nan=False)
    """Scales the expert's effect."""


class UntrainedClassifier(WireModel):
    """A classifier that has learnt nothing: each pod makes the same one of the same seed."""

    depth: int = Field(ge=1)
    """Linear layers."""
    size: int = Field(ge=1)
    """Width between them."""
    seed: int = Field(ge=0)


class MixtureSpec(WireModel):
    """All that is needed to make the mixture that a pod serves as its model: a trained one, or one of adapters."""

    revision: Revision
    """Hash of all else here but where the files are."""
    source: AdapterSource | None = None
    """Of a trained one, as PEFT saved it: the folder with its configuration and classifier, and its experts in 0, 1, …"""
    digest: Digest | None = None
    """Of all the files of `source`; unset until a pod has told it, and then the others refuse different ones."""
    experts: tuple[MixtureExpert, ...] = Field(default=(), max_length=MAX_EXPERTS)
    classifier: UntrainedClassifier | None = None
    config: MixtureConfig = MixtureConfig()
    """Options of PEFT's XLoraConfig that the user set; with `source`, they replace the checkpoint's."""

    @classmethod
    def of(
        cls,
        *,
        source: AdapterSource | None = None,
        digest: Digest | None = None,
        experts: tuple[MixtureExpert, ...] = (),
        classifier: UntrainedClassifier | None = None,
        config: MixtureConfig,
        asked: str = "",
    ) -> Self:
        """Names the mixture by the hash of what decides its answers.

        Where files come from is not in it, but where nobody has told a digest yet: then the place is, and `asked`, which
        tells one look there from the next.
        """
        place = None if source is None else digest or [source.place.model_dump(mode="json", exclude_none=True), asked]
        facts: list[Any] = [
            place,
            [[expert.digest, expert.weight] for expert in experts],
            classifier and classifier.model_dump(mode="json"),
            config.model_dump(mode="json", exclude_none=True),
        ]
        revision = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
        return cls(
            revision=revision, source=source, digest=digest, experts=experts, classifier=classifier, config=config
        )

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if (self.source is None) is not bool(self.experts) or (self.source is None) is (self.classifier is None):
            raise ValueError("a mixture has either source, or experts and classifier")
        if len({expert.name for expert in self.experts}) < len(self.experts):
            raise ValueError("each expert has a name of its own")
        return self


class MixtureState(StrEnum):
    """How far a pod is with the mixture that its document wants, in order."""

    FETCHING = "Fetching"
    LOADING = "Loading"
    """Made, and on its way into the engine; or the engine starts with it."""
    DRAINING = "Draining"
    """It waits until the requests on the one before have ended; others wait for it meanwhile."""
    SERVING = "Serving"
    NEEDS_RESTART = "NeedsRestart"
    """Sound, but of other shapes than what the engine was started with; that one is served until the pod is replaced."""
    FAILED = "Failed"


class MixtureReport(WireModel):
    """The mixture in one pod."""

    revision: Revision
    """The wanted one, which all but `serving` is about."""
    state: MixtureState
    reason: ToldReason | None = None
    """Set when Failed."""
    message: str = ""
    """Why it failed, or what its author should know although it is sound."""
    serving: Revision | None = None
    """The revision that answers now; stays while another one fails or is on its way."""
    source: AdapterSource | None = None
    """The wanted one's, pinned; once it was fetched."""
    digest: Digest | None = None
    """Of the wanted one's files: of `source`, or of all experts'; once they were fetched."""
    experts: tuple[str, ...] = ()
    """Names of the wanted one's experts; a trained one has them from its checkpoint."""
    layers: int | None = None
    """Modules that any expert adapts."""
    trained: bool | None = None
    """Whether the classifier is; else its scalings mean nothing."""
    bytes_done: int | None = None
    bytes_total: int | None = None
    """Download progress in bytes while Fetching; the total is unset while unknown."""
