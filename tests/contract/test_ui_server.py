"""`lora ui` against a server without a cluster: the page of a cluster, over the objects that the server tells."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from lora_api.error_codes import ErrorCode
from lora_cli.errors import EXIT_STATUS
from lora_runtime.standalone.wish import Changes
from support.command_line import CommandLine, address_in
from support.local_server import LocalServer

SECONDS = 20.0
PIRATE = "pirate=hf://team/pirate@v1@0.7"


@contextmanager
def page_of(server: LocalServer) -> Iterator[httpx.Client]:
    shell = CommandLine(Path("/nowhere"), "", {"LORA_SERVER": server.url})
    with (
        shell.watching("ui") as printed,
        httpx.Client(base_url=address_in(printed), timeout=SECONDS) as http,
    ):
        yield http


def until(http: httpx.Client, holds: Callable[[Any], bool]) -> Any:
    """The first whole state, as a page that is opened anew is told it, of which something holds."""
    deadline = time.monotonic() + SECONDS
    while True:
        with http.stream("GET", "events") as stream:
            told = next(line for line in stream.iter_lines() if line.startswith("data: "))
        state = json.loads(told.removeprefix("data: "))
        if holds(state):
            return state
        assert time.monotonic() < deadline, state


def test_the_page_shows_changes_and_rolls_back_what_a_server_serves(tmp_path: Path) -> None:
    with LocalServer(tmp_path, PIRATE) as server, page_of(server) as http:
        place = http.get("place").json()
        assert (place["kind"], place["name"]) == ("server", server.url)
        assert place["typed"] == f"lora COMMAND --server {server.url}"
        assert "until the server's process ends" in place["remark"]
        assert all(place["rights"].values())
        first = until(http, lambda state: state["adapters"]["pirate"]["mood"] == "good")["adapters"]["pirate"]
        assert http.post("weight", json={"name": "pirate", "weight": 0.25}).status_code == 200
        answers = "the server answers with"
        scaled = until(http, lambda state: answers in str(state["adapters"]["pirate"]["moment"]))["adapters"]["pirate"]
        assert (scaled["weight"], scaled["revision"] != first["revision"]) == (0.25, True)
        details = http.get("details", params={"name": "pirate"}).json()
        assert details["returnable"] == [False, True]
        assert http.post("rollback", json={"name": "pirate", "revision": first["revision"]}).status_code == 200
        until(http, lambda state: state["adapters"]["pirate"]["cells"]["REVISION"] == first["revision"])
        members = {"pirate": 0.5}
        assert http.post("blend", json={"name": "both", "members": members, "method": "Concat"}).status_code == 200
        until(http, lambda state: state["adapters"].get("both", {}).get("mood") == "good")
        [room] = http.get("memory").json()
        assert [row["cells"][0] for row in room["table"]["rows"]] == ["both", "pirate"]


def test_the_page_says_that_a_server_takes_no_changes(tmp_path: Path) -> None:
    with LocalServer(tmp_path, PIRATE, changes=Changes()) as server, page_of(server) as http:
        place = http.get("place").json()
        assert "--allow-changes" in place["remark"]
        assert not place["rights"]["patch loraadapters.lora-operator.io"]
        assert place["rights"]["create services/proxy"], "it may be talked to"
        refused = http.post("weight", json={"name": "pirate", "weight": 0.25})
        assert (refused.status_code, refused.json()["code"]) == (403, "Forbidden")


def test_a_page_for_a_server_that_does_not_answer_does_not_begin() -> None:
    said = CommandLine(Path("/nowhere"), "", {"LORA_SERVER": "http://127.0.0.1:9"})("ui")
    assert said.status == EXIT_STATUS[ErrorCode.UNREACHABLE]
    assert said.out == ""
