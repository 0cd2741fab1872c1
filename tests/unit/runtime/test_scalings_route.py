"""What a client gets that asks for the scalings of an answer."""

from typing import Any

import httpx
from fastapi import FastAPI

from lora_runtime.http.scalings import SCALINGS_PATH, scalings_router

TOLD = {"promptTokens": 3, "experts": ["law"], "layers": [], "shape": [1, 1, 1], "dtype": "float16", "scalings": "ADw="}


async def ask(request_id: str, kept: int) -> httpx.Response:
    async def of(wanted: str) -> list[dict[str, Any]]:
        return [TOLD] if wanted == "cmpl-a/b" else []

    app = FastAPI()
    app.include_router(scalings_router(kept, lambda: of))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://pod") as client:
        return await client.get(f"{SCALINGS_PATH}/{request_id}")


async def test_an_answer_that_is_known_is_told_generation_by_generation() -> None:
    answer = await ask("cmpl-a/b", kept=1)
    assert (answer.status_code, answer.json()) == (200, {"id": "cmpl-a/b", "generations": [TOLD]})


async def test_one_that_is_not_known_is_404_and_says_how_many_are_kept() -> None:
    answer = await ask("cmpl-c", kept=7)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")
    assert "the last 7" in answer.json()["error"]["message"]


async def test_a_pod_that_keeps_none_says_how_to_turn_it_on() -> None:
    answer = await ask("cmpl-a/b", kept=0)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")
    assert "spec.mixture.scalingsKept" in answer.json()["error"]["message"]
