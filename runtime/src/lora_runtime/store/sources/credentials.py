"""Tokens from mounted Secrets, read afresh each time, so that a rotated one works without a restart."""

from pathlib import Path

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import not_fetched

_KEY = "token"


def read_token(credentials_root: Path, secret: str) -> str:
    """The token in `<credentials_root>/<secret>/token`.

    Raises:
        Refused: the Secret is not mounted, or its key does not hold a token.
    """
    try:
        token = (credentials_root / secret / _KEY).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    # anything else would end up, readable, in the client's complaint about the header
    if not (token.isascii() and token.isprintable() and token.split() == [token]):
        raise not_fetched(
            Reason.UNAUTHORIZED,
            f"this pod has no token from Secret {secret}: the Secret needs the key {_KEY} with one word in it, and the LoRAModel must "
            f"list it in spec.credentials",
            retryable=True,
        )
    return token
