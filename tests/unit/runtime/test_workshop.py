import asyncio
from pathlib import Path

import pytest

from lora_api.runtime_api import Part, RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource, BlendMethod, Precision
from lora_api.v1alpha1.common import VolumeSource
from lora_runtime.__main__ import _with_ours
from lora_runtime.adapters.base import load_base
from lora_runtime.store.content import open_store
from lora_runtime.workshop import Progress, Workshop
from support.models import tiny_adapter, tiny_base


async def test_a_revision_given_up_before_the_base_is_known_spoils_nothing_for_the_next(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    tiny_adapter(tmp_path / "volumes" / "shared" / "a", base, seed=1)
    store = open_store(tmp_path / "store", volumes_root=tmp_path / "volumes", credentials_root=tmp_path / "none")
    source = AdapterSource(volume=VolumeSource(name="shared", path="a"))
    digest = (await store.resolve(source)).digest
    spec = RevisionSpec.of((Part(source=source, digest=digest, weight=0.5),), BlendMethod.CONCAT, Precision.AUTO)
    workshop = Workshop(store, max_rank=8)

    given_up = asyncio.create_task(workshop.make(spec, Progress()))
    done, _ = await asyncio.wait({given_up}, timeout=1)
    assert not done, "it waits for the base model's shapes"
    given_up.cancel()
    await asyncio.wait({given_up})

    workshop.set_base(load_base(base))
    assert (await workshop.make(spec, Progress())).rank == 8


@pytest.mark.parametrize(("rendered", "let_in"), [
    ("", "lora_runtime,lora_runtime_cpu_kernels"),
    ("lora_runtime,hpu,hpu_custom_ops", "lora_runtime,hpu,hpu_custom_ops,lora_runtime_cpu_kernels"),
])  # fmt: skip
def test_the_platform_s_plugins_that_the_operator_names_are_let_in_beside_ours(rendered: str, let_in: str) -> None:
    assert _with_ours(rendered) == let_in
