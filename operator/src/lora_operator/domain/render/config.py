"""What rendering needs to know besides the LoRAModel."""

from collections.abc import Mapping
from dataclasses import dataclass

from lora_api.egress import DEFAULT as DEFAULT_EGRESS
from lora_api.egress import Egress
from lora_api.v1alpha1.engine import AcceleratorType


@dataclass(frozen=True, slots=True)
class RenderConfig:
    """The operator's settings, as far as they shape children."""

    images: Mapping[AcceleratorType, str]
    """Runtime image per accelerator type."""
    image_pull_policy: str
    """Always, IfNotPresent or Never."""
    operator_namespace: str
    operator_pod_labels: Mapping[str, str]
    """With the namespace: who may reach the admin port."""
    egress: Egress = DEFAULT_EGRESS
    """Which servers the sources of adapters may lead to."""
