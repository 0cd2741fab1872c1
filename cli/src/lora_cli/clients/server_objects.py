"""LoRAModels and LoRAAdapters of a server without a cluster: an ObjectStore."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from lora_api.error_codes import ErrorCode
from lora_api.local_api import ADAPTERS_PATH, LOCAL_RESOLVE_PATH, LocalAdapter, LocalState
from lora_api.runtime_api import ResolveRequest, ResolveResponse, ResolveState
from lora_api.wrong_values import in_words
from lora_cli.clients import clock
from lora_cli.clients.answers import Refused
from lora_cli.clients.objects import ADAPTERS, MODELS
from lora_cli.clients.server import Server
from lora_cli.domain import local, names
from lora_cli.domain.objects import Json
from lora_cli.domain.seen import LISTED
from lora_cli.errors import Failed

_LOOK_SECONDS = 0.25
"""On the same machine mostly, and nobody tells."""
_WAIT_SECONDS = "20"
_NOBODY = "-"
"""What no adapter can be called."""


class ServerObjects:
    """Reads and writes them; the namespace counts for nothing, as there is none."""

    def __init__(self, server: Server, *, dry_run: bool = False) -> None:
        self._server = server
        self._tried = {"dryRun": "All" if dry_run else None}

    def state(self) -> LocalState:
        """All that the server tells.

        Raises:
            Failed: it does not, as it works for an operator.
        """
        try:
            return LocalState.model_validate(self._server.request("GET", ADAPTERS_PATH))
        except Refused as refused:
            if refused.code is not ErrorCode.NOT_FOUND:
                raise
            raise Failed(
                ErrorCode.INVALID,
                f"{self._server.url} tells nothing of adapters: it is no `lora-runtime serve`. What a cluster serves is seen "
                f"through the cluster, without --server",
            ) from refused
        except ValidationError as error:
            raise Failed(
                ErrorCode.INVALID,
                f"the answer of {self._server.url} is not understood, of a newer version perhaps: {in_words(error)}",
            ) from error

    def why_no_changes(self) -> Failed | None:
        """Why it takes no changes from here; None if it does."""
        try:
            self._server.request("DELETE", f"{ADAPTERS_PATH}/{_NOBODY}", query={"dryRun": "All"})
        except Failed as failed:
            return failed if failed.code in (ErrorCode.FORBIDDEN, ErrorCode.UNAUTHORIZED) else None
        return None

    def get(self, plural: str, name: str) -> Json:
        """See ObjectStore."""
        found = self.find(plural, name)
        if found is None:
            raise Failed(
                ErrorCode.NOT_FOUND,
                f"nothing is called {name} at {self._server.url}",
                then=f"lora status --server {self._server.url}",
            )
        return found

    def find(self, plural: str, name: str) -> Json | None:
        """See ObjectStore; the base model is found by what clients call it, too."""
        items: list[Json] = self.list(plural)["items"]
        for item in items:
            # An adapter's served name may be another one's name.
            known = {item["metadata"]["name"], item["spec"].get("servedName") if plural == MODELS else None}
            if name in known:
                return item
        return None

    def list(self, plural: str, *, namespace: str | None = None, model: str | None = None) -> Json:
        """See ObjectStore; there is one model."""
        state = self.state()
        items = [local.adapter(told, state) for told in state.adapters] if plural == ADAPTERS else [local.model(state)]
        return {"items": items, "metadata": {"resourceVersion": ""}}

    def follow(self, plural: str, last: Json, *, namespace: str | None = None) -> Iterator[tuple[str, Json]]:
        """See ObjectStore; tells whole lists."""
        while True:
            found = self.list(plural)
            if found != last:
                yield LISTED, found
            last = found
            clock.sleep(_LOOK_SECONDS)

    def create(self, plural: str, manifest: Mapping[str, Any]) -> Json:
        """See ObjectStore."""
        return self._put(manifest["metadata"]["name"], manifest["spec"], {"If-None-Match": "*"})

    def merge(self, plural: str, name: str, patch: Mapping[str, Any]) -> Json:
        """See ObjectStore."""
        return self._changed(local.merged(self.get(plural, name), patch))

    def patch(self, plural: str, name: str, steps: Sequence[Json]) -> Json:
        """See ObjectStore."""
        return self._changed(local.patched(self.get(plural, name), steps))

    def delete(self, plural: str, name: str) -> None:
        """See ObjectStore."""
        self._server.request("DELETE", _path(name), query=self._tried)

    def resolve(self, asked: ResolveRequest, timeout_seconds: float) -> ResolveResponse:
        """What the server finds at a source, once it knows.

        Raises:
            Failed: it does not know in time.
        """
        deadline = clock.monotonic() + timeout_seconds
        body = asked.model_dump(mode="json", by_alias=True, exclude_none=True)
        while clock.monotonic() < deadline:
            told = self._server.request("POST", LOCAL_RESOLVE_PATH, query={"wait": _WAIT_SECONDS}, body=body)
            answer = ResolveResponse.model_validate(told)
            if answer.state is not ResolveState.FETCHING:
                return answer
        raise Failed(
            ErrorCode.NOT_READY, f"{self._server.url} is still fetching after {timeout_seconds:g} s; ask again"
        )

    def _changed(self, stored: Json) -> Json:
        meta = stored["metadata"]
        return self._put(meta["name"], stored["spec"], {"If-Match": f'"{meta["resourceVersion"]}"'})

    def _put(self, name: str, spec: Json, headers: Mapping[str, str]) -> Json:
        told = self._server.request("PUT", _path(name), query=self._tried, body=spec, headers=headers)
        return local.adapter(LocalAdapter.model_validate(told), self.state())


def _path(name: str) -> str:
    return f"{ADAPTERS_PATH}/{names.of_declared(name)}"
