"""What an operator would have rendered for a pod, for the process that was started by hand."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from lora_api.egress import Egress
from lora_runtime.config import Settings
from lora_runtime.standalone import folders
from lora_runtime.standalone.command import Command
from lora_runtime.standalone.wish import Declared

_EGRESS = "LORA_EGRESS"
_EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))
"""Who names the sources is who runs the process: there is nobody to be kept from its own network."""


def prepare(typed: Command, environment: Mapping[str, str]) -> tuple[Settings, Declared]:
    """The settings of the process and what it is to serve.

    Raises:
        folders.InUse: another process works in its folder.
        OSError: its folder cannot be written.
        ValidationError: a variable of the environment is wrong.
    """
    folders.lock(typed.state)
    secrets, hub_token = folders.credentials(typed.state, typed.credentials, environment)
    egress: dict[str, Any] = {} if _EGRESS in environment else {"egress": Egress(allowed_addresses=_EVERYWHERE)}
    settings = Settings(
        model_source=typed.model,
        served_name=typed.served_name,
        max_rank=typed.limits.max_rank,
        store=typed.state / "store",
        state=typed.state,
        state_limit_bytes=None,
        desired_file=typed.state / "desired.json.gz",
        volumes_root=folders.volumes(typed.state, typed.volumes),
        credentials_root=secrets,
        api_keys_file=typed.api_keys_file,
        composition=typed.composition,
        tls_dir=None,
        **egress,
    )
    return settings, Declared(typed.wishes, typed.file, hub_token, typed.changes)
