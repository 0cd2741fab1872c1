"""The operator's settings, from the environment; read once, before anything else."""

import json
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lora_api.egress import Egress
from lora_api.v1alpha1.engine import AcceleratorType
from lora_api.wrong_values import what
from lora_operator.clients.certificates import LEAF_LIFETIME

_PREFIX = "LORA_OPERATOR_"


class ConfigError(Exception):
    """A setting is missing or wrong; the message names its variable."""


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class Config(BaseSettings):
    """Each variable has the prefix `LORA_OPERATOR_`."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    namespace: str = Field(min_length=1)
    """Where the operator itself runs, and keeps its CA."""
    pod_name: str = "lora-operator"
    """Who reports Events, and holds the Lease."""
    pod_uid: str = ""
    """Of the pod whose only container this process is; empty when it is not known to be one."""
    lease: str = Field(default="lora-operator", min_length=1)
    """Name of the Lease in its own namespace: of all operators that share it, one works and the others stand by."""
    pod_labels: Annotated[dict[str, str], NoDecode] = {"app.kubernetes.io/name": "lora-operator"}
    """JSON. Labels of the operator's pods: they alone may reach the admin port of the runtimes."""
    watch_namespaces: Annotated[tuple[str, ...], NoDecode] = ()
    """Comma-separated; all namespaces when empty."""
    images: Annotated[dict[AcceleratorType, str], NoDecode]
    """JSON. Runtime image per accelerator type."""
    image_pull_policy: str = Field(default="IfNotPresent", pattern="^(Always|IfNotPresent|Never)$")
    allow_host_path: bool = False
    """Whether pods may mount folders of the node: local clusters only."""
    allow_host_access: bool = False
    """Whether a podTemplate may ask for the node's network, processes or privileges."""
    egress: Annotated[Egress, NoDecode] = Egress()
    """JSON. Which servers the sources of adapters may lead to; see `lora_api.egress`."""
    ca_dir: Path = Path("/etc/lora-operator/ca")
    """Where the Secret with the operator's CA is mounted; empty before its first start."""
    certificate_hours: float = Field(default=LEAF_LIFETIME.total_seconds() / 3600, gt=0)
    """How long the certificates of pods and of the operator are good; they are replaced after two thirds of it."""
    certificate_check_seconds: float = Field(default=300, ge=1)
    """How often the Secret with the pods' certificates, which is never read, is made sure of: so long it is missing at most."""
    workers: int = Field(default=8, ge=1, le=64)
    """LoRAModels that are worked on at once."""
    metrics_port: int = Field(default=9090, ge=0, le=65535)
    """0: no metrics."""
    health_port: int = Field(default=8080, ge=1, le=65535)
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_format: LogFormat = LogFormat.TEXT

    @property
    def certificate_lifetime(self) -> timedelta:
        """How long a certificate is good."""
        return timedelta(hours=self.certificate_hours)

    @property
    def certificate_check(self) -> timedelta:
        """How long the pods' certificates may be missing."""
        return timedelta(seconds=self.certificate_check_seconds)

    @field_validator("watch_namespaces", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("images", "pod_labels", "egress", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError as error:
            raise ValueError(f"must be a JSON object: {error}") from error

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _any_case(cls, value: Any, info: Any) -> Any:
        if isinstance(value, str):
            return value.upper() if info.field_name == "log_level" else value.lower()
        return value


def load() -> Config:
    """Reads the environment.

    Raises:
        ConfigError: one line that names every variable that is missing or wrong, and what it should be.
    """
    try:
        return Config()
    except ValidationError as error:
        problems = (f"{_variable(issue)}: {what(issue)}" for issue in error.errors())
        raise ConfigError("; ".join(problems)) from error


def _variable(issue: Any) -> str:
    name, *inner = (str(part) for part in issue["loc"])
    # A missing setting is located by its variable already.
    variable = name.upper() if name.upper().startswith(_PREFIX) else _PREFIX + name.upper()
    return variable + "".join(f"[{part}]" for part in inner)
