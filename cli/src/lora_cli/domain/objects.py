"""The objects of a namespace as the API server has them, with what a command needs of their metadata."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from lora_api.error_codes import ErrorCode
from lora_api.v1alpha1.adapter import LoRAAdapter, LoRAAdapterSpec, LoRAAdapterStatus
from lora_api.v1alpha1.common import Condition
from lora_api.v1alpha1.model import LoRAModel, LoRAModelSpec, LoRAModelStatus
from lora_api.wrong_values import in_words
from lora_cli.errors import Failed

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Meta:
    """Whose object it is, and which edition."""

    name: str
    namespace: str
    generation: int
    version: str
    """Another one after each write of spec or status."""
    created: datetime


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRAAdapter."""

    meta: Meta
    spec: LoRAAdapterSpec
    status: LoRAAdapterStatus

    @property
    def served_name(self) -> str:
        """What clients put in `model=`."""
        return self.spec.served_name or self.meta.name

    @property
    def model(self) -> str:
        """Name of its LoRAModel."""
        return self.spec.model_ref.name


@dataclass(frozen=True, slots=True)
class Model:
    """A LoRAModel."""

    meta: Meta
    spec: LoRAModelSpec
    status: LoRAModelStatus

    @property
    def served_name(self) -> str:
        """What clients put in `model=` for the plain base model."""
        return self.spec.served_name or self.meta.name


def condition(observed: Adapter | Model, kind: str) -> Condition | None:
    """One of its conditions, if the operator has written it."""
    return next((found for found in observed.status.conditions if found.type == kind), None)


def scalings_kept(observed: Adapter | Model) -> int:
    """Of so many answers each pod keeps which expert answered; 0 where there is no mixture."""
    mixture = observed.spec.mixture if isinstance(observed, Model) else None
    return 0 if mixture is None else mixture.scalings_kept


def is_seen(observed: Adapter | Model) -> bool:
    """Whether the status is about the last edit of the spec."""
    return observed.status.observed_generation >= observed.meta.generation


def adapter_of(stored: Mapping[str, Any]) -> Adapter:
    """What a stored LoRAAdapter says.

    Raises:
        Failed: it holds what this version does not know.
    """
    try:
        found = LoRAAdapter.model_validate(stored)
    except ValidationError as error:
        raise _too_new(stored, error) from error
    return Adapter(_meta(stored), found.spec, found.status)


def model_of(stored: Mapping[str, Any]) -> Model:
    """What a stored LoRAModel says.

    Raises:
        Failed: it holds what this version does not know.
    """
    try:
        found = LoRAModel.model_validate(stored)
    except ValidationError as error:
        raise _too_new(stored, error) from error
    return Model(_meta(stored), found.spec, found.status)


def _meta(stored: Mapping[str, Any]) -> Meta:
    meta = stored["metadata"]
    return Meta(
        name=meta["name"],
        namespace=meta["namespace"],
        generation=meta.get("generation", 0),
        version=meta.get("resourceVersion", ""),
        created=datetime.fromisoformat(meta["creationTimestamp"]),
    )


def _too_new(stored: Mapping[str, Any], error: ValidationError) -> Failed:
    return Failed(
        ErrorCode.INVALID,
        f"{stored.get('kind', 'the object')} {stored['metadata']['name']} holds what this version does not understand "
        f"({in_words(error)}); the cluster's operator is newer",
        then="pipx install --force '.[cli]'  # in a checkout of the operator's version",
    )
