"""The child objects of a LoRAModel, as plain dicts. A function of the model and of the operator's settings alone."""

from lora_operator.domain.render.certificate import CERTIFICATES, admin_host, certificate_manifest
from lora_operator.domain.render.children import (
    EXCLUDED,
    Manifest,
    children,
    desired_config_map,
    desired_manifest,
)
from lora_operator.domain.render.config import RenderConfig
from lora_operator.domain.render.engine_flags import SERVING_PORT
from lora_operator.domain.render.errors import RenderError
from lora_operator.domain.render.pod import ADMIN_PORT, CONTAINER

__all__ = [
    "ADMIN_PORT",
    "CERTIFICATES",
    "CONTAINER",
    "EXCLUDED",
    "SERVING_PORT",
    "Manifest",
    "RenderConfig",
    "RenderError",
    "admin_host",
    "certificate_manifest",
    "children",
    "desired_config_map",
    "desired_manifest",
]
