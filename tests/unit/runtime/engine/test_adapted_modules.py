"""What workers tell of their modules, and how trouble with them looks from outside of the engine's process."""

from typing import Any

import pytest

from lora_runtime.engine.vllm.adapted_modules import ask


class Client:
    """An engine whose workers answer, or which says what went wrong as vLLM's client does: by its message alone."""

    def __init__(self, *answers: list[str], trouble: str = "") -> None:
        self._answers, self._trouble = answers, trouble

    async def collective_rpc(self, method: str, timeout: float, args: tuple[Any, ...]) -> list[list[str]]:
        if self._trouble:
            raise Exception(f"Call to collective_rpc method failed: {self._trouble}")
        return list(self._answers)


async def test_each_worker_of_a_pipeline_adds_its_layers() -> None:
    assert await ask(Client(["layers.0"], ["layers.1"]), ["layers.0", "layers.1", "head"]) == {"layers.0", "layers.1"}


async def test_workers_that_were_too_busy_can_be_told_from_those_that_do_not_know_the_question() -> None:
    with pytest.raises(TimeoutError, match="timed out"):
        await ask(Client(trouble="RPC call to lora_runtime_adapted_modules timed out."), ["layers.0"])
    with pytest.raises(Exception, match="has no attribute") as caught:
        await ask(Client(trouble="'HPUWorker' object has no attribute 'lora_runtime_adapted_modules'"), ["layers.0"])
    assert not isinstance(caught.value, TimeoutError)
