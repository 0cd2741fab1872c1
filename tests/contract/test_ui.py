"""`kubectl lora ui` as a process of its own: what its page can ask it for, over real HTTP."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from lora_api.error_codes import ErrorCode
from lora_cli.errors import EXIT_STATUS
from support.command_line import CommandLine, address_in
from support.scalings import told
from support.small_api_server import SmallApiServer, running
from support.stored import a_condition, adapter_json, model_json

SECONDS = 30.0
VOLUME = {"volume": {"name": "adapters", "path": "pirate"}}
Json = dict[str, Any]


@dataclass
class Page:
    """The process, and the API server behind it."""

    http: httpx.Client
    api: SmallApiServer
    kubeconfig: Path
    printed: Callable[[], str]

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def events(self, stream: httpx.Response) -> Iterator[tuple[str, Any]]:
        kind = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield kind, json.loads(line.removeprefix("data: "))

    @contextmanager
    def watched(self) -> Iterator["Watched"]:
        with self.http.stream("GET", "events") as stream:
            yield Watched(self.events(stream))

    def served(self, name: str) -> None:
        """As an operator does: the last edit is answered for by every pod."""
        found = self.api.objects["loraadapters", name]
        generation = found["metadata"]["generation"]
        ready = a_condition("Ready", "True", "Serving") | {"observedGeneration": generation}
        status = {**found["status"], "observedGeneration": generation, "revision": "bbbbbbbb", "conditions": [ready]}
        self.api.put("loraadapters", {**found, "status": status})


class Watched:
    """What a page knows by now."""

    def __init__(self, events: Iterator[tuple[str, Any]]) -> None:
        self._events = events
        self.adapters: Json = {}
        self.models: Json = {}
        self.trouble: Json | None = None

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not holds():
            kind, news = next(self._events)
            assert kind == "state"
            self.trouble = news["trouble"]
            for known, news_of in ((self.adapters, news["adapters"]), (self.models, news["models"])):
                known |= news_of
                for name in [name for name, view in known.items() if view is None]:
                    del known[name]
            assert time.monotonic() < deadline, (self.adapters, self.trouble)

    def told_of(self, name: str) -> str:
        """What is said of the last edit."""
        moment = self.adapters[name]["moment"]
        return "" if moment is None else str(moment["words"])


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    api = SmallApiServer()
    with (
        running(api, tmp_path_factory.mktemp("ui")) as kubeconfig,
        CommandLine(kubeconfig, "team").watching("ui") as printed,
        httpx.Client(base_url=address_in(printed), timeout=SECONDS) as http,
    ):
        yield Page(http, api, kubeconfig, printed)


@pytest.fixture
def page(process: Page) -> Page:
    """The process, with one model and one adapter behind it."""
    api = process.api
    for (plural, _), stored in list(api.objects.items()):
        api.put(plural, stored, "DELETED")
    api.put("loramodels", model_json(), "ADDED")
    mark = f"pirate-{len(api.events)}"
    api.put("loraadapters", adapter_json(source={"volume": {"name": "adapters", "path": mark}}), "ADDED")
    api.answer, api.pace_seconds = ("Aye", ", ", "matey"), 0.0
    api.before_answering = lambda: None
    api.asked.clear()
    with process.watched() as watched:
        watched.until(lambda: [mark in view["madeOf"] for view in watched.adapters.values()] == [True])
    return process


def test_the_page_and_its_parts_come_from_this_process_alone(page: Page) -> None:
    first = page.http.get("")
    assert first.status_code == 200
    assert "default-src 'none'" in first.headers["Content-Security-Policy"]
    for part in re.findall(r'(?:href|src)="([^"#]+)"', first.text):
        assert page.http.get(part).status_code == 200, part
        assert "//" not in part
    place = page.http.get("place").json()
    assert (place["kind"], place["name"], place["typed"]) == ("namespace", "team", "kubectl lora COMMAND -n team")


def test_nobody_else_may_use_it(page: Page) -> None:
    outside = str(page.http.base_url.copy_with(path="/"))
    assert httpx.get(outside + "events", timeout=SECONDS).status_code == 403
    assert page.http.get("place", headers={"Host": "evil.example"}).status_code == 403
    stranger = {"Origin": "https://evil.example"}
    assert page.http.post("weight", json={"name": "pirate", "weight": 9}, headers=stranger).status_code == 403
    assert page.api.objects["loraadapters", "pirate"]["spec"].get("weight") is None


def test_the_address_is_printed_once_and_stands_in_no_log(page: Page) -> None:
    token = page.http.base_url.path.strip("/")
    assert page.http.get("nowhere").status_code == 404
    assert page.http.post("weight", content="{", headers={"Content-Type": "application/json"}).status_code == 422
    assert page.http.get("place", headers={"Host": "evil.example"}).status_code == 403
    assert page.printed().count(token) == 1, page.printed()


def test_a_name_leads_to_no_other_object(page: Page) -> None:
    assert page.post("weight", name="../loramodels/smol", weight=9).status_code == 422
    assert "weight" not in page.api.objects["loramodels", "smol"]["spec"]


def test_a_change_of_the_cluster_is_told_at_once(page: Page) -> None:
    with page.watched() as watched:
        watched.until(lambda: {"pirate"} == watched.adapters.keys() and {"smol"} == watched.models.keys())
        page.api.put("loraadapters", adapter_json("formal"), "ADDED")
        watched.until(lambda: "formal" in watched.adapters)
        page.api.put("loraadapters", page.api.objects["loraadapters", "formal"], "DELETED")
        watched.until(lambda: "formal" not in watched.adapters)


def test_a_weight_is_patched_and_the_moment_it_is_answered_with_is_told(page: Page) -> None:
    with page.watched() as watched:
        watched.until(lambda: "pirate" in watched.adapters)
        assert page.post("weight", name="pirate", weight=0.25).status_code == 200
        watched.until(lambda: watched.adapters["pirate"]["weight"] == 0.25)
        watched.until(lambda: "on its way" in watched.told_of("pirate"))
        page.served("pirate")
        watched.until(lambda: "every pod answers with bbbbbbbb" in watched.told_of("pirate"))


def test_the_moment_is_told_also_when_pods_were_faster_than_the_answer_to_the_patch(page: Page) -> None:
    with page.watched() as watched:
        watched.until(lambda: "pirate" in watched.adapters)

        def overtake() -> None:
            page.served("pirate")
            watched.until(lambda: watched.adapters["pirate"]["revision"] == "bbbbbbbb")

        page.api.before_answering = overtake
        assert page.post("weight", name="pirate", weight=0.25).status_code == 200
        watched.until(lambda: "every pod answers with bbbbbbbb" in watched.told_of("pirate"))


def test_a_blend_is_made_and_changed_by_hand(page: Page) -> None:
    wish = {"name": "polite", "members": {"pirate": 0.5}, "method": "Concat"}
    assert page.post("blend", **wish).status_code == 200
    stored = page.api.objects["loraadapters", "polite"]["spec"]
    assert stored["modelRef"] == {"name": "smol"}
    assert stored["blend"]["members"] == [{"adapterRef": {"name": "pirate"}, "weight": 0.5}]
    assert page.post("blend", **{**wish, "members": {"pirate": 2}}).status_code == 200
    assert page.api.objects["loraadapters", "polite"]["spec"]["blend"]["members"][0]["weight"] == 2
    taken = page.post("blend", **{**wish, "name": "pirate"})
    assert (taken.status_code, taken.json()["code"]) == (409, "Conflict")


def test_an_adapter_is_rolled_back_from_its_history(page: Page) -> None:
    def entry(revision: str, weight: float) -> Json:
        return {"revision": revision, "time": "2026-01-01T11:30:00Z", "source": VOLUME, "weight": weight}

    was = {"history": [entry("aaaaaaaa", 1), entry("cccccccc", 0.3)]}
    page.api.put("loraadapters", adapter_json(status=was))
    with page.watched() as watched:
        watched.until(lambda: [view["madeOf"] for view in watched.adapters.values()] == ["team/pirate@main"])
    details = page.http.get("details", params={"name": "pirate"}).json()
    assert details["returnable"] == [False, True]
    assert page.post("rollback", name="pirate", revision="cccccccc").status_code == 200
    assert page.api.objects["loraadapters", "pirate"]["spec"]["weight"] == 0.3


def test_an_answer_comes_word_by_word(page: Page) -> None:
    page.api.pace_seconds = 0.2
    body = {"name": "pirate", "messages": [{"role": "user", "content": "Who?"}], "maxTokens": 8, "temperature": 0}
    arrivals = []
    with page.http.stream("POST", "ask", json=body) as stream:
        events = []
        for kind, data in page.events(stream):
            events.append((kind, data))
            arrivals.append(time.monotonic())
    assert [kind for kind, _ in events] == ["begin", "piece", "piece", "piece", "end"]
    assert events[0][1] == {"revision": "aaaaaaaa"}
    assert "".join(data["text"] for kind, data in events if kind == "piece") == "Aye, matey"
    assert arrivals[-1] - arrivals[1] > 0.3, "held back"
    assert page.api.asked == [
        {"model": "pirate", "messages": body["messages"], "stream": True, "max_tokens": 8, "temperature": 0}
    ]


def test_an_answer_that_nobody_waits_for_is_given_up(page: Page) -> None:
    page.api.answer, page.api.pace_seconds = ("word ",) * 2000, 0.05
    body = {"name": "pirate", "messages": [{"role": "user", "content": "Go on"}], "maxTokens": 9, "temperature": 0}
    with page.http.stream("POST", "ask", json=body) as stream:
        assert next(page.events(stream))[0] == "begin"
    assert page.api.given_up.wait(SECONDS)


def test_what_is_refused_is_said_with_its_code(page: Page) -> None:
    gone = page.post("weight", name="nobody", weight=1)
    assert (gone.status_code, gone.json()["code"]) == (404, "NotFound")
    unclear = page.post("weight", name="pirate", weight="much")
    assert (unclear.status_code, unclear.json()["code"]) == (422, "Invalid")
    assert "weight" in unclear.json()["message"]
    body = {"name": "nobody", "messages": [{"role": "user", "content": "?"}], "maxTokens": 8, "temperature": 0}
    with page.http.stream("POST", "ask", json=body) as stream:
        assert [(kind, data.get("code")) for kind, data in page.events(stream)] == [
            ("begin", None),
            ("failed", "NotFound"),
        ]


def test_which_expert_answered_is_told_by_the_id_that_the_answer_ended_with(page: Page) -> None:
    mixture = {"experts": [{"adapterRef": {"name": "pirate"}}], "scalingsKept": 4}
    page.api.put("loramodels", model_json("mixed", mixture=mixture), "ADDED")
    page.api.pods = {"mixed-0": {"chatcmpl-1": [told(np.full((2, 1, 3), 0.5, np.float16), layers=[])]}}
    with page.watched() as watched:
        watched.until(lambda: {"mixed", "smol"} == watched.models.keys())
        assert {name: view["scalingsKept"] for name, view in watched.models.items()} == {"mixed": 4, "smol": 0}
    body = {"name": "mixed", "messages": [{"role": "user", "content": "Who?"}], "maxTokens": 8, "temperature": 0}
    with page.http.stream("POST", "ask", json=body) as stream:
        [*_, (_, end)] = page.events(stream)
    [heat] = page.http.get("scalings", params={"name": "mixed", "id": end["id"]}).json()["generations"]
    assert (heat["mean"], heat["tokens"][0]["text"]) == ([[0.5] * 3] * 2, "·word10")
    gone = page.http.get("scalings", params={"name": "mixed", "id": "cmpl-9"})
    assert (gone.status_code, gone.json()["code"]) == (404, "NotFound")
    plain = page.http.get("scalings", params={"name": "smol", "id": end["id"]})
    assert (plain.status_code, plain.json()["code"]) == (422, "Invalid")


def test_memory_is_told(page: Page) -> None:
    with page.watched() as watched:
        watched.until(lambda: "pirate" in watched.adapters)
    [room] = page.http.get("memory").json()
    assert (room["model"], room["table"]["rows"][0]["cells"][0]) == ("smol", "pirate")


def test_a_port_that_is_taken_is_said(page: Page) -> None:
    port = page.http.base_url.port
    refused = CommandLine(page.kubeconfig, "team")("ui", "--port", str(port))
    assert refused.status == EXIT_STATUS[ErrorCode.CONFLICT]
    assert f"cannot listen on 127.0.0.1:{port}" in refused.err
