"""Adding up what vLLM's workers hold, with tensors of the shapes that vLLM keeps."""

import pkgutil
from types import SimpleNamespace
from typing import Any

import torch

from lora_runtime.engine.vllm.memory import WorkerMemory, added
from lora_runtime.engine.vllm.worker import CLASS, WorkerExtension
from lora_runtime.engine.vllm.worker_memory import LoRAMemory, slots_bytes


def a_layer(a: Any, b: Any) -> SimpleNamespace:
    return SimpleNamespace(lora_a=a, lora_b=b)


def a_worker(**manager: Any) -> LoRAMemory:
    worker = LoRAMemory()
    worker.model_runner = SimpleNamespace(lora_manager=SimpleNamespace(_adapter_manager=SimpleNamespace(**manager)))
    return worker


def test_an_adapter_is_the_sum_of_its_matrices_with_gaps_in_packed_ones() -> None:
    plain = a_layer(torch.zeros(4, 16), torch.zeros(16, 4))
    packed = a_layer([torch.zeros(4, 16), None, torch.zeros(4, 16)], [torch.zeros(16, 4), None, torch.zeros(8, 4)])
    adapter = SimpleNamespace(loras={"o_proj": plain, "qkv_proj": packed})
    worker = a_worker(_registered_adapters=SimpleNamespace(cache={7: adapter}), lora_index_to_id=[None, 7], modules={})
    elements = (64 + 64) + (64 + 64) + (64 + 32)
    assert worker.lora_runtime_memory() == {"host": [[7, elements * 4]], "resident": [7], "slots": 0}


def test_views_and_modules_that_are_wrapped_twice_take_memory_once() -> None:
    a, b = torch.zeros(3, 1, 4, 16, dtype=torch.bfloat16), torch.zeros(3, 1, 16, 4, dtype=torch.bfloat16)
    module = SimpleNamespace(
        lora_a_stacked=a, lora_a_stacked_2d=a.view(-1, 16), lora_b_stacked=(b,), weight=torch.zeros(1000)
    )
    assert slots_bytes([module, module]) == 2 * 3 * 64 * 2


def test_workers_that_share_a_model_each_hold_an_adapter_and_a_part_of_the_slots() -> None:
    answer = {"host": [[7, 100], [8, 50]], "resident": [7], "slots": 1000}
    assert added([answer, answer]) == WorkerMemory(2, {7: 200, 8: 100}, frozenset({7}), 2000)


def test_the_flag_names_the_class() -> None:
    assert pkgutil.resolve_name(CLASS) is WorkerExtension
