"""Where the runtime's files live in the pod: the volumes and their mounts."""

from dataclasses import dataclass
from typing import Any

from lora_api.runtime_api import CONFIG_MAP_KEY
from lora_api.v1alpha1.model import LoRAModelSpec
from lora_operator.domain.render.certificate import certificate_volume

STATE = "/var/lib/lora"
STORE = f"{STATE}/store"
HOME = f"{STATE}/home"
HUGGING_FACE = f"{STATE}/huggingface"
DESIRED = "/etc/lora/desired"
DESIRED_FILE = f"{DESIRED}/{CONFIG_MAP_KEY}"
CERTIFICATE = "/etc/lora/tls"
API_KEYS = "/etc/lora/api-keys"
API_KEYS_FILE = f"{API_KEYS}/keys"
CREDENTIALS = "/credentials"
VOLUMES = "/volumes"

_GROUP_READABLE = 0o440


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume, and where the runtime container sees it."""

    path: str
    volume: dict[str, Any]
    read_only: bool = True

    @property
    def volume_mount(self) -> dict[str, Any]:
        """The entry of `volumeMounts`."""
        mount = {"name": self.volume["name"], "mountPath": self.path}
        return mount | {"readOnly": True} if self.read_only else mount


def mounts(model: str, spec: LoRAModelSpec, desired_config_map: str) -> list[Mount]:
    """Every volume of the runtime pod, in the order in which the pod lists them."""
    state: dict[str, Any] = {"name": "state", "emptyDir": {}}
    if spec.cache.size_limit is not None:
        state["emptyDir"]["sizeLimit"] = spec.cache.size_limit
    found = [
        Mount(STATE, state, read_only=False),
        Mount("/tmp", {"name": "tmp", "emptyDir": {}}, read_only=False),  # noqa: S108  # the pod's own
        Mount("/dev/shm", {"name": "shm", "emptyDir": {"medium": "Memory"}}, read_only=False),  # noqa: S108
        # Optional: a model's first pods may start before its first document is written.
        Mount(DESIRED, {"name": "desired", "configMap": {"name": desired_config_map, "optional": True}}),
        Mount(CERTIFICATE, _secret("certificate", certificate_volume(model))),
    ]
    if spec.api_key is not None:
        # Optional, as credentials are; the runtime lets nobody in while it is missing.
        items = [{"key": spec.api_key.key, "path": API_KEYS_FILE.rpartition("/")[2]}]
        source = {"secretName": spec.api_key.secret_ref.name, "items": items, "optional": True}
        found.append(Mount(API_KEYS, _secret("api-keys", source)))
    for index, entry in enumerate(spec.credentials):
        name = entry.secret_ref.name
        # Optional: without it a missing Secret would hold the pod back with no word in its status. So the
        # adapter that needs it says Unauthorized, and the Secret is picked up when it appears.
        found.append(
            Mount(f"{CREDENTIALS}/{name}", _secret(f"credentials-{index}", {"secretName": name, "optional": True}))
        )
    for volume in spec.volumes:
        mounted: dict[str, Any] = {"name": f"volume-{volume.name}"}
        if volume.pvc is not None:
            mounted["persistentVolumeClaim"] = {"claimName": volume.pvc.claim_name, "readOnly": True}
        elif volume.host_path is not None:
            mounted["hostPath"] = {"path": volume.host_path.path, "type": "Directory"}
        found.append(Mount(f"{VOLUMES}/{volume.name}", mounted))
    return found


def _secret(volume: str, source: dict[str, Any]) -> dict[str, Any]:
    return {"name": volume, "secret": source | {"defaultMode": _GROUP_READABLE}}
