"""One repository of a container registry: manifests, blobs, and tokens, as the distribution specification says."""

import base64
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import parse_http_list, parse_keqv_list

import httpx

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import Refused, not_fetched
from lora_runtime.store.sources.credentials import no_credentials, read_key, read_text
from lora_runtime.store.sources.web import Place, Session
from lora_runtime.store.sources.web_errors import Answered

T = TypeVar("T")

_TOKEN_BYTES = 1 << 20
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class Login:
    """A name and a password for one registry."""

    username: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """The value of an Authorization header."""
        return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()}"


def read_login(credentials_root: Path, secret: str, registry: str) -> Login:
    """The login for a registry in a Secret, either of type kubernetes.io/dockerconfigjson or with username and password.

    Raises:
        Refused: it holds none.
    """
    text = read_text(credentials_root, secret, ".dockerconfigjson")
    if text is not None:
        found = _from_docker_config(text, registry)
        if found is None:
            raise no_credentials(secret, f"a login for {registry} in its .dockerconfigjson")
        return found
    username = read_key(credentials_root, secret, "username")
    password = read_key(credentials_root, secret, "password")
    if username is None or password is None:
        raise no_credentials(secret, "the key .dockerconfigjson, or the keys username and password")
    return Login(username, password)


class Repository:
    """Reads from one repository; logs in when the registry asks for it."""

    def __init__(self, session: Session, registry: str, name: str, login: Login | None, *, plain_http: bool) -> None:
        self._session, self._registry, self._login = session, registry, login
        self._scheme = "http" if plain_http else "https"
        hub = registry in _DOCKER_HUB
        self._host = _DOCKER_HUB[-1] if hub else registry
        self._name = f"library/{name}" if hub and "/" not in name else name
        self._authorization: dict[str, str] = {}

    async def ask(self, path: str, where: str, use: Callable[[Place], Coroutine[Any, Any, T]]) -> T:
        """Does something with a part of the repository, such as `manifests/latest`; again after a login, if one is wanted.

        Raises:
            Answered: the registry refuses.
        """
        try:
            return await use(self._place(path, where))
        except Answered as answer:
            # Also when there was one: tokens of many registries are good for a minute. Where a login is sent is for the
            # registry to say, not for a server that it redirects to.
            if answer.status != 401 or answer.elsewhere or not await self._log_in(answer):
                raise
        return await use(self._place(path, where))

    def _place(self, path: str, where: str) -> Place:
        url = f"{self._scheme}://{self._host}/v2/{self._name}/{path}"
        return Place(url, where, self._authorization, verified=True)

    async def _log_in(self, answer: Answered) -> bool:
        """Takes up the registry's challenge; False when it cannot be met."""
        scheme, _, rest = answer.headers.get("www-authenticate", "").partition(" ")
        if scheme.lower() == "basic" and self._login is not None:
            self._authorization = {"Authorization": self._login.header}
            return True
        if scheme.lower() != "bearer":
            return False
        try:
            asked = parse_keqv_list(parse_http_list(rest))
            realm = httpx.URL(asked["realm"])
        except (ValueError, KeyError, httpx.InvalidURL) as error:
            raise _no_token(f"a token of registry {self._registry}", "its challenge cannot be read") from error
        self._authorization = {"Authorization": f"Bearer {await self._token(realm, asked)}"}
        return True

    async def _token(self, realm: httpx.URL, asked: dict[str, str]) -> str:
        where = f"a token of registry {self._registry} from {realm.host}"
        if realm.scheme not in ("https", self._scheme):
            raise _no_token(where, "its address is not encrypted")
        wanted: dict[str, str] = {"scope": f"repository:{self._name}:pull"}
        wanted |= {name: value for name, value in asked.items() if name in ("service", "scope")}
        headers = {} if self._login is None else {"Authorization": self._login.header}
        place = Place(str(realm.copy_merge_params(wanted)), where, headers)
        try:
            answer: Any = json.loads(await self._session.read(place, _TOKEN_BYTES))
            token = answer.get("token") or answer.get("access_token")
        except (ValueError, AttributeError):
            token = None
        if not isinstance(token, str) or not token.isascii() or token.split() != [token]:
            raise _no_token(where, "the answer holds none")
        return token


def _from_docker_config(text: str, registry: str) -> Login | None:
    """The entry for a registry, which some tools write as a URL."""
    try:
        entries = json.loads(text).get("auths", {})
        by_host = {_host_of(name): entry for name, entry in entries.items()}
        names = _DOCKER_HUB if registry in _DOCKER_HUB else (registry,)
        entry = next(by_host[name] for name in names if name in by_host)
        if "auth" in entry:
            username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
            return Login(username, password)
        return Login(entry["username"], entry["password"])
    except (ValueError, AttributeError, KeyError, TypeError, StopIteration):
        return None


def _host_of(name: str) -> str:
    return name.partition("://")[2].partition("/")[0] if "://" in name else name.partition("/")[0]


def _no_token(where: str, problem: str) -> Refused:
    return not_fetched(Reason.UNAUTHORIZED, f"{where} cannot be had: {problem}", retryable=True)
