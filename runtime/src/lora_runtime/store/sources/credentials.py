"""Tokens from mounted Secrets, read afresh each time, so that a rotated one works without a restart."""

from pathlib import Path

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import not_fetched

_KEY = "token"


def read_token(credentials_root: Path, secret: str) -> str:
    """The token in `<credentials_root>/<secret>/token`.

    Raises:
        Refused: the Secret is not mounted, or has no such key.
    """
    try:
        token = (credentials_root / secret / _KEY).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token:
        raise not_fetched(
            Reason.UNAUTHORIZED,
            f"this pod has no token from Secret {secret}: the Secret needs the key {_KEY}, and the LoRAModel must "
            f"list it in spec.credentials",
            retryable=True,
        )
    return token
