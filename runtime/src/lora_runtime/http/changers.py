"""Who may change what a runtime without a cluster serves."""

from ipaddress import IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from starlette.responses import JSONResponse

from lora_api.error_codes import ErrorCode
from lora_runtime.http.api_keys import ApiKeys
from lora_runtime.http.asgi import Scope, header
from lora_runtime.http.errors import refusal
from lora_runtime.standalone.wish import Changes

_OF_BROWSERS = frozenset({b"origin", b"sec-fetch-site", b"sec-fetch-mode"})
"""A page of any site can have a browser of this machine send requests here; none can keep these headers off a change."""
_OF_PROXIES = (
    b"forwarded", b"via", b"x-forwarded", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"x-remote-", b"x-original-",
    b"x-proxyuser-ip", b"x-envoy-", b"x-amzn-trace-id", b"x-azure-", b"x-appengine-", b"x-goog-", b"true-client-ip", b"client-ip",
    b"cf-", b"cdn-loop", b"fastly-", b"fly-", b"tailscale-",
)  # fmt: skip
"""How the headers begin that proxies add. Whoever is behind a proxy of this machine is not on it."""
_LOCALHOST = "localhost"
_OLD = "1.0"
"""What nginx speaks to servers behind it unless it is told otherwise; it adds no header then, and names us in `Host`."""


def keys_to_ask(api_keys_file: Path | None, changes: Changes) -> ApiKeys | None:
    """The keys that clients may show, those for changes among them; None when anybody may ask."""
    if api_keys_file is None:
        return None
    return ApiKeys(api_keys_file) if changes.keys_file is None else ApiKeys(api_keys_file, changes.keys_file)


class Changers:
    """Decides by the key that is shown, and else by where a request comes from."""

    def __init__(self, changes: Changes) -> None:
        self._loopback = changes.loopback
        self._keys = None if changes.keys_file is None else ApiKeys(changes.keys_file)

    def refuse(self, scope: Scope) -> JSONResponse | None:
        """The answer to who may not; None for who may."""
        if self._keys is not None and self._keys.admit(header(scope, b"authorization"), header(scope, b"x-api-key")):
            return None
        if self._loopback and _is_of_this_machine(scope):
            return None
        if self._keys is not None:
            message = "Changing adapters takes a key of --admin-keys-file, as `X-Api-Key: <key>` or `Authorization: Bearer <key>`."
            return refusal(ErrorCode.UNAUTHORIZED, message, headers={"WWW-Authenticate": "Bearer"})
        if self._loopback:
            message = (
                "Adapters may only be changed by programs of this machine that ask for 127.0.0.1, [::1] or localhost, and by no "
                "browser or proxy. To let others do it, start lora-runtime with --admin-keys-file FILE and show one of its keys."
            )
        else:
            message = (
                "This server takes no changes over HTTP. Start lora-runtime with --allow-changes (programs of this "
                "machine may) or --admin-keys-file FILE (who shows a key may), or declare adapters in the file of --desired."
            )
        return refusal(ErrorCode.FORBIDDEN, message)


def _is_of_this_machine(scope: Scope) -> bool:
    if any(name in _OF_BROWSERS or name.startswith(_OF_PROXIES) for name, _ in scope.get("headers", ())):
        return False
    # A proxy passes on the name that it was asked for, and has one of its own.
    if scope.get("http_version") == _OLD or not _names_this_machine(header(scope, b"host")):
        return False
    peer = scope.get("client")
    return peer is not None and _is_loopback(peer[0])


def _names_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and (name == _LOCALHOST or _is_loopback(name))


def _is_loopback(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback
