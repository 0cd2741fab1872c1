"""The API key of a model, from the Secret that it names: read with the user's own rights, and only when it is wanted."""

import base64
import binascii

from lora_api.error_codes import ErrorCode
from lora_api.key_file import keys_in
from lora_api.v1alpha1.model import LoRAModel
from lora_cli.clients.answers import Refused
from lora_cli.clients.kube import Kube
from lora_cli.clients.objects import MODELS, Objects
from lora_cli.errors import Failed

_GIVE = "Give a key by --api-key or LORA_API_KEY"


def key_of(kube: Kube, model: str) -> str:
    """The first key of the model's Secret.

    Raises:
        Failed: the user may not read it, or there is none in it.
    """
    wanted = LoRAModel.model_validate(Objects(kube).get(MODELS, model)).spec.api_key
    if wanted is None:
        raise Failed(
            ErrorCode.UNAUTHORIZED, f"pods of {model} want an API key, although the model names none any more. {_GIVE}"
        )
    name, namespace = wanted.secret_ref.name, kube.namespace
    try:
        secret = kube.request("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
    except Refused as refused:
        raise Failed(
            ErrorCode.UNAUTHORIZED,
            f"the model {model} wants an API key, and its Secret {name} cannot be read: {refused}. {_GIVE}",
            then=f"kubectl auth can-i get secret/{name} -n {namespace}",
        ) from refused
    try:
        keys = keys_in(base64.b64decode(secret.get("data", {}).get(wanted.key, "")))
    except (binascii.Error, UnicodeDecodeError):
        keys = ()
    if not keys:
        raise Failed(ErrorCode.UNAUTHORIZED, f"the Secret {name} has no API key under {wanted.key}. {_GIVE}")
    return keys[0]
