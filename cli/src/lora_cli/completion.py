"""What the shell offers for a word that is being typed: names in the cluster, if it answers at once."""

from collections.abc import Iterator

from lora_cli.clients.kube import Kube
from lora_cli.clients.objects import ADAPTERS, MODELS, Objects
from lora_cli.errors import Failed


def adapter_names(incomplete: str) -> Iterator[str]:
    """Names of LoRAAdapters in the context's own namespace."""
    return _names(ADAPTERS, incomplete)


def model_names(incomplete: str) -> Iterator[str]:
    """Names of LoRAModels in the context's own namespace."""
    return _names(MODELS, incomplete)


def _names(plural: str, incomplete: str) -> Iterator[str]:
    try:
        listed = Objects(Kube.connect(None, None, None)).list(plural)
    except Failed:
        # A shell has no place for an error.
        return
    yield from (item["metadata"]["name"] for item in listed["items"] if item["metadata"]["name"].startswith(incomplete))
