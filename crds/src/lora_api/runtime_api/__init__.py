"""What the operator and the runtime say to each other on the admin port (mutual TLS).

    PUT   /v1/desired                          the whole desired document; answers the inventory
    PATCH /v1/desired                          what changes in the document that `If-Match` names; else 412: PUT it then
    GET   /v1/inventory?after=<etag>&wait=<s>  long poll: answers as soon as the etag differs, else after `wait` seconds
    POST  /v1/resolve?wait=<s>                 pin one source to a commit and a digest, and check it against the base
    GET   /v1/memory                           the engine's own account of the tensors it holds; asks the engine

With `since=<etag>`, the first three answer only what has changed in the inventory after that one, if they still know.
The desired document is also written to a ConfigMap, from which a starting pod reads it.
"""

from lora_api.runtime_api.desired import CONFIG_MAP_KEY, Desired, DesiredAdapter, DesiredPatch, Mismatch
from lora_api.runtime_api.inventory import (
    AdapterReport,
    Capacity,
    EngineMemory,
    Inventory,
    RevisionReport,
    RevisionState,
)
from lora_api.runtime_api.limits import MAX_MESSAGE_BYTES, MAX_NAMES, MAX_WAIT_SECONDS
from lora_api.runtime_api.resolve import AdapterFacts, Refusal, ResolveRequest, ResolveResponse, ResolveState
from lora_api.runtime_api.revision import BlendedPart, Part, Recipe, RevisionSpec

DESIRED_PATH = "/v1/desired"
INVENTORY_PATH = "/v1/inventory"
RESOLVE_PATH = "/v1/resolve"
MEMORY_PATH = "/v1/memory"

__all__ = [
    "CONFIG_MAP_KEY",
    "DESIRED_PATH",
    "INVENTORY_PATH",
    "MAX_MESSAGE_BYTES",
    "MAX_NAMES",
    "MAX_WAIT_SECONDS",
    "MEMORY_PATH",
    "RESOLVE_PATH",
    "AdapterFacts",
    "AdapterReport",
    "BlendedPart",
    "Capacity",
    "Desired",
    "DesiredAdapter",
    "DesiredPatch",
    "EngineMemory",
    "Inventory",
    "Mismatch",
    "Part",
    "Recipe",
    "Refusal",
    "ResolveRequest",
    "ResolveResponse",
    "ResolveState",
    "RevisionReport",
    "RevisionSpec",
    "RevisionState",
]
