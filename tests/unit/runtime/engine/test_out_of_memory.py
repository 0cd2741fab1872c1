"""What torch says of memory, with the numbers that count."""

import pytest

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.engine.out_of_memory import in_bytes
from lora_runtime.engine.protocol import LoadFailed

CUDA = (
    "Call to add_lora method failed: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.11 GiB "
    "of which 12.50 MiB is free. Including non-PyTorch memory, this process has 79.09 GiB memory in use."
)
CPU = (
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "4294967296 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (CUDA, "out of memory: 20971520 bytes needed, 13107200 available: Call to add_lora"),
        (CPU, "out of memory: 4294967296 bytes needed, 77 available: [enforce fail"),
        ("MemoryError", "out of memory: an unknown number of bytes needed, 77 available: MemoryError"),
    ],
)
def test_what_was_needed_and_available_is_said_in_bytes(words: str, says: str) -> None:
    told = in_bytes(words, 77)
    assert told.startswith(says)
    assert LoadFailed(told).reason is Reason.OUT_OF_MEMORY
    assert LoadFailed(f"the engine refused it: {told}").reason is Reason.OUT_OF_MEMORY, "whoever passes it on"


def test_other_trouble_stays_as_it_is() -> None:
    assert in_bytes("vLLM does not yet support DoRA.", 77) == "vLLM does not yet support DoRA."
    assert LoadFailed("vLLM does not yet support DoRA.").reason is Reason.LOAD_FAILED
