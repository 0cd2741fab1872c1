"""Keys from mounted Secrets, read afresh each time, so that a rotated one works without a restart."""

from pathlib import Path

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import Refused, not_fetched

_TOKEN = "token"  # noqa: S105  (the name of the key)


def read_token(credentials_root: Path, secret: str) -> str:
    """The token in `<credentials_root>/<secret>/token`.

    Raises:
        Refused: the Secret is not mounted, or its key does not hold a token.
    """
    token = read_key(credentials_root, secret, _TOKEN)
    if token is None:
        raise no_credentials(secret, f"the key {_TOKEN} with one word in it")
    return token


def read_key(credentials_root: Path, secret: str, *names: str) -> str | None:
    """The one word under the first of these keys that the Secret has; None when there is none."""
    for name in names:
        word = (read_text(credentials_root, secret, name) or "").strip()
        # anything else would end up, readable, in the client's complaint about the header
        if word.isascii() and word.isprintable() and word.split() == [word]:
            return word
    return None


def read_text(credentials_root: Path, secret: str, name: str) -> str | None:
    """What the Secret holds under a key; None when it has none, or is not mounted."""
    try:
        return (credentials_root / secret / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def no_credentials(secret: str, needed: str) -> Refused:
    """The Secret is not mounted, or does not hold what the source needs."""
    return not_fetched(
        Reason.UNAUTHORIZED,
        f"this pod has no credentials from Secret {secret}: the Secret needs {needed}, and the LoRAModel must list it "
        f"in spec.credentials",
        retryable=True,
    )
