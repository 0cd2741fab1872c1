"""Whatever is sent to the admin API: never a 500, never a process that ends, never a good state lost."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from lora_api.runtime_api import (
    DESIRED_PATH,
    INVENTORY_PATH,
    RESOLVE_PATH,
    Desired,
    DesiredAdapter,
    Part,
    ResolveRequest,
    RevisionSpec,
)  # fmt: skip
from lora_api.v1alpha1.adapter import AdapterSource, Precision, Verify
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_runtime.adapters.errors import Refused
from lora_runtime.engine.fake import FakeEngine
from lora_runtime.http.admin import admin_app
from lora_runtime.metrics.lifecycle import Lifecycle
from lora_runtime.service import Service
from lora_runtime.store.content import open_store
from support.stand_in import EverySourceExists, NoFiles

pytestmark = pytest.mark.slow

SECONDS = 10.0
SOURCE = AdapterSource(volume=VolumeSource(name="shared", path="a"))
GOOD = RevisionSpec.of(
    (Part(source=SOURCE, digest="sha256:" + "a" * 64, weight=0.5),), BlendMethod.CONCAT, Precision.AUTO
).model_copy(update={"verify": Verify(prompt="Hello", contains="Ahoy")})
DOCUMENT = Desired(sequence=5, adapters=(DesiredAdapter(name="good", uid="u", serve=GOOD),))
QUESTION = ResolveRequest(source=SOURCE, digest="sha256:" + "a" * 64)

text = st.text(max_size=30) | st.sampled_from(["", "good", "../..", "\ud800", "a\0b", "x" * 5000])
numbers = st.integers() | st.floats() | st.sampled_from([10**400, -(2**63), 2**64, float("nan"), float("inf")])
json_values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def changed(draw: st.DrawFn, message: dict[str, Any]) -> Any:
    """The message with one to three of its values, however deep, replaced, renamed or left out."""
    changed = json.loads(json.dumps(message))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(changed))
        if not places:
            break
        where, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["value", "gone", "name"])):
            case "gone":
                del where[key]
            case "name" if isinstance(where, dict):
                where[draw(text)] = where.pop(key)
            case _:
                where[key] = draw(json_values)
    return changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


documents = changed(json.loads(DOCUMENT.canonical())).map(body) | json_values.map(body) | st.binary(max_size=200)
questions = changed(json.loads(QUESTION.canonical())).map(body) | json_values.map(body) | st.binary(max_size=200)


class Pod:
    """A service that serves DOCUMENT, and a client of its admin API."""

    def __init__(self, folder: Path) -> None:
        self.engine = FakeEngine()
        self.engine.answers[GOOD.revision] = "Ahoy"
        self.service = Service(
            boot_id="boot", workshop=EverySourceExists(), files=NoFiles(), state_folder=folder, clock=time.monotonic
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(admin_app(self.service, Lifecycle(CollectorRegistry()))),
            base_url="http://pod",
        )

    async def begin(self) -> None:
        self.service.attach_engine(self.engine)
        await self.service.put(DOCUMENT)
        await self.until_good_is_served()

    async def until_good_is_served(self) -> None:
        deadline = time.monotonic() + SECONDS
        while (found := self.service.inventory().adapter("good")) is None or found.serving != GOOD.revision:
            assert time.monotonic() < deadline, self.service.inventory()
            await self.service.inventory_after(self.service.inventory().etag, 1)

    async def send(
        self, method: str, path: str, content: bytes = b"", base: str | None = None, **query: str
    ) -> httpx.Response:
        headers = {"content-type": "application/json"} | ({} if base is None else {"if-match": base})
        answer = await self.client.request(method, path, content=content, params=query, headers=headers)
        assert answer.status_code < 500, answer.text
        json.loads(answer.content)
        return answer


@contextmanager
def a_pod(folder: Path) -> Iterator[tuple[asyncio.Runner, Pod]]:
    """A pod that serves DOCUMENT, and the loop it lives on."""
    with asyncio.Runner() as runner:

        async def begun() -> Pod:
            pod = Pod(folder)
            await pod.begin()
            return pod

        yield runner, runner.run(begun())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pod")


@settings(deadline=None)
@given(documents)
@example(body({"sequence": 9, "adapters": [{"name": "x", "serve": {"revision": "00000000", "parts": []}}]}))
@example(b'{"sequence": NaN}')
@example(b'{"sequence": 9, "adapters": [{"name": "\\ud800", "uid": "\\ud800"}]}')
@example(b'{"adapters":' + b"[" * 100_000)
def test_a_document_is_refused_and_changes_nothing_or_can_be_replaced_by_a_good_one(
    folder: Path, content: bytes
) -> None:
    with a_pod(folder) as (runner, pod):

        async def scene() -> None:
            before = pod.service.inventory()
            answer = await pod.send("PUT", DESIRED_PATH, content)
            now = pod.service.inventory()
            if answer.status_code == 200:
                sequence = (now.desired_sequence or 0) + 1
                again = DOCUMENT.model_copy(update={"sequence": sequence})
                assert (await pod.send("PUT", DESIRED_PATH, again.canonical())).status_code == 200
            else:
                assert answer.status_code in {400, 409, 422}
                assert (now.desired_etag, now.adapters) == (before.desired_etag, before.adapters)
            await pod.until_good_is_served()

        runner.run(scene())


LATER = DOCUMENT.model_copy(update={"sequence": 6, "adapters": ()})
patches = changed(json.loads(LATER.patch_from(DOCUMENT).canonical())).map(body) | json_values.map(body)


@settings(deadline=None)
@given(patches, st.sampled_from([DOCUMENT.etag, f'"{DOCUMENT.etag}"', "", "*", "W/x"]))
def test_a_patch_is_refused_and_changes_nothing_or_makes_what_it_says(folder: Path, content: bytes, base: str) -> None:
    with a_pod(folder) as (runner, pod):

        async def scene() -> None:
            answer = await pod.send("PATCH", DESIRED_PATH, content, base=base)
            etag = pod.service.inventory().desired_etag
            if answer.status_code == 200:
                assert etag == json.loads(content)["etag"]
            else:
                assert answer.status_code in {400, 409, 412, 422}
                assert etag == DOCUMENT.etag

        runner.run(scene())


@settings(deadline=None)
@given(questions, st.sampled_from(["0", "-1", "nan", "1e999", "x", "\0"]))
def test_a_question_is_answered_or_refused(folder: Path, content: bytes, wait: str) -> None:
    with a_pod(folder) as (runner, pod):
        answer = runner.run(pod.send("POST", RESOLVE_PATH, content, wait=wait))
        assert answer.status_code in {200, 400, 422}
        runner.run(pod.until_good_is_served())


@settings(deadline=None)
@given(text, st.sampled_from(["0", "-1", "nan", "61", "x"]))
@example("boot-" + "9" * 5000, "0")
def test_an_inventory_is_told_or_the_query_refused(folder: Path, after: str, wait: str) -> None:
    after = after.encode("utf-8", "replace").decode()
    with a_pod(folder) as (runner, pod):
        answer = runner.run(pod.send("GET", INVENTORY_PATH, after=after, since=after, wait=wait))
        assert answer.status_code in {200, 422}


@settings(deadline=None, max_examples=200)
@given(
    st.text(min_size=1, max_size=40)
    | st.lists(st.sampled_from(["..", ".", "a", "~", "/", "\0", "x" * 300])).map("/".join)
)
@example("../outside")
@example("/etc")
def test_any_path_in_a_volume_is_refused_and_nothing_outside_is_read(folder: Path, path: str) -> None:
    async def scene() -> None:
        (folder / "volumes" / "shared").mkdir(parents=True, exist_ok=True)
        store = open_store(folder / "store", volumes_root=folder / "volumes", credentials_root=folder / "none")
        source = AdapterSource(volume=VolumeSource.model_construct(name="shared", path=path))
        with pytest.raises(Refused):
            await store.resolve(source)

    asyncio.run(scene())
