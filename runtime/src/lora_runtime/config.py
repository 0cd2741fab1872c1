"""Settings of the runtime, from the environment that the operator renders."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from lora_api.egress import Egress
from lora_api.v1alpha1.common import ModelSource
from lora_api.v1alpha1.model import Composition


class Settings(BaseSettings):
    """Read once at start. Each variable has the prefix `LORA_`."""

    model_config = SettingsConfigDict(
        env_prefix="LORA_", env_parse_none_str="none", frozen=True, protected_namespaces=()
    )

    model_source: ModelSource
    """Where the base model's files come from, as JSON."""
    served_name: str
    """What clients put in `model=` for the plain base model."""
    max_rank: int = Field(ge=1)
    store: Path = Path("/var/lib/lora/store")
    """The pod's own; survives a restart of the container."""
    state: Path = Path("/var/lib/lora")
    """The volume that holds the store, and caches beside it."""
    state_limit_bytes: int | None = Field(default=None, ge=1)
    """What may be in that volume before the kubelet evicts the pod; unset for a volume without a limit."""
    desired_file: Path = Path("/etc/lora/desired/desired.json.gz")
    """The ConfigMap's copy of the desired document; may be missing."""
    volumes_root: Path = Path("/volumes")
    credentials_root: Path = Path("/credentials")
    api_keys_file: Path | None = None
    """Holds what clients may show, one key a line; unset, they need not show any."""
    tls_dir: Path | None = Path("/etc/lora/tls")
    """Holds tls.crt, tls.key and ca.crt. The word "none" is for plain HTTP, in tests only."""
    admin_host: str = "0.0.0.0"  # noqa: S104  # the operator comes from outside the pod; mutual TLS guards the port
    admin_port: int = 8001
    hf_endpoint: str = Field(default="https://huggingface.co", validation_alias="HF_ENDPOINT")
    """The hub, or a mirror of it."""
    max_adapter_bytes: int = 16 * 2**30
    """Largest adapter that is fetched, in bytes."""
    composition: Composition | None = None
    """What clients may compose in their requests, as JSON; unset: nothing."""
    mixture: bool = False
    """Whether the model is an X-LoRA of the base model, as the desired document says; there are no adapters beside it."""
    drain_seconds: float = Field(default=60, gt=0)
    """How long a change of the mixture waits for requests under way, while others wait for it."""
    scalings_kept: int = Field(default=0, ge=0, le=1024)
    """Of so many of the last requests, how much of each expert their tokens got; 0: of none, and nothing is spent on it."""
    egress: Egress = Egress()
    """Which servers the sources of adapters may lead to, as JSON."""
