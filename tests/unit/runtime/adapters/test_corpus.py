"""Every hostile adapter is refused by the way that all adapters go, with its own reason and a message that helps."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import resource
from pathlib import Path

import pytest

from corpus.every import CORPUS, path_of, write
from corpus.hostile import Hostile
from lora_api.runtime_api import Refusal, ResolveRequest
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import VolumeSource
from lora_runtime.adapters.base import load_base
from lora_runtime.adapters.errors import Refused
from lora_runtime.store.content import open_store
from lora_runtime.workshop import Progress, Workshop
from support.models import tiny_base

pytestmark = pytest.mark.slow

REFERENCE = Path(__file__).resolve().parents[4] / "docs" / "reference" / "validation.md"
MEMORY_BYTES = 768 << 20
"""What all of the corpus together may take beside the libraries."""
CPU_SECONDS = 120


def refusals_of_all(volumes: Path) -> dict[str, Refusal | str]:
    """What a pod answers about each, or what went wrong instead."""

    async def ask() -> dict[str, Refusal | str]:
        store = open_store(volumes.parent / "store", volumes_root=volumes, credentials_root=volumes / "none")
        workshop = Workshop(store, max_rank=32)
        workshop.set_base(load_base(volumes / "models" / "base"))
        _limit_this_process()
        return {case.name: await _refusal(workshop, case) for case in CORPUS}

    return asyncio.run(ask())


async def _refusal(workshop: Workshop, case: Hostile) -> Refusal | str:
    source = AdapterSource(volume=VolumeSource(name="adapters", path=path_of(case)))
    try:
        facts = await workshop.resolve(ResolveRequest(source=source), Progress())
    except Refused as refused:
        return refused.refusal
    except BaseException as error:  # noqa: BLE001  # whatever else it is, it is what the test is about
        return f"{type(error).__name__}: {error}"
    return f"accepted: {facts}"


def _limit_this_process() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Refusal | str]:
    """Of a process of its own, whose memory is bounded: what takes too much, ends it."""
    volumes = tmp_path_factory.mktemp("corpus") / "volumes"
    write(volumes / "adapters", tiny_base(volumes / "models" / "base"))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply_async(refusals_of_all, (volumes,)).get(300)


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_a_hostile_adapter_is_refused_for_what_is_wrong_with_it(
    case: Hostile, answers: dict[str, Refusal | str]
) -> None:
    refusal = answers[case.name]
    assert isinstance(refusal, Refusal), refusal
    assert refusal.reason is case.reason, refusal.message
    assert [says for says in case.says if says not in refusal.message] == [], refusal.message


def test_no_message_is_longer_than_a_screen_or_breaks_a_line_of_the_log(answers: dict[str, Refusal | str]) -> None:
    messages = [answer.message for answer in answers.values() if isinstance(answer, Refusal)]
    assert [message for message in messages if len(message) > 1024 or not message.isprintable()] == []


def test_names_of_the_corpus_are_unique_and_there_are_enough() -> None:
    assert len({case.name for case in CORPUS}) == len(CORPUS) >= 60


def test_the_reference_says_what_pods_say_and_has_an_example_of_every_reason(
    answers: dict[str, Refusal | str],
) -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| `(\w+)` \| `(.*)` \|$", REFERENCE.read_text(), re.MULTILINE)
    found = [(name, getattr(answers[name], "reason", ""), getattr(answers[name], "message", "")) for name, _, _ in rows]
    assert rows == found
    assert {reason for _, reason, _ in rows} == {case.reason for case in CORPUS}
