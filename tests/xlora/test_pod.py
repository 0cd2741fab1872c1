"""A mixture's pod as it is not run in `make test`: compiled, and with two processes. Exchanged live, with its scalings."""

import shutil
from pathlib import Path

import pytest

from support import mixtures
from support.mixture_pod import MixturePod, agree, trained, whose
from support.models import tiny_base
from support.runtime_process import start_runtime

N = 12


@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        (("--no-enforce-eager", "--max-num-batched-tokens=32"), {"TORCHDYNAMO_DISABLE": "0"}),
        (("--tensor-parallel-size=2",), {}),
    ],
    ids=["compiled", "two processes"],
)
def test_an_exchange_and_scalings(tmp_path: Path, flags: tuple[str, ...], environment: dict[str, str]) -> None:
    volumes = tmp_path / "volumes"
    base = tiny_base(volumes / "models" / "base", initializer_range=mixtures.QUIET)
    experts = mixtures.tiny_experts(tmp_path, base)
    models = {
        "aaaaaaa1": mixtures.in_peft(base, experts, **mixtures.EVERY_OPTION),
        "aaaaaaa2": mixtures.in_peft(base, experts, seed=6, **mixtures.EVERY_OPTION),
    }
    for revision, model in models.items():
        mixtures.save(model, volumes / "mixtures" / revision)
    [prompt, *_] = mixtures.prompts(1)
    expected = {revision: mixtures.answer(model, prompt, N) for revision, model in models.items()}
    runtime = start_runtime(
        tmp_path / "pod",
        volumes=volumes,
        mixture=True,
        flags=flags,
        environment={
            "LORA_SCALINGS_KEPT": "2",
            # of no other run: a graph without scalings must not be taken for one with them
            "VLLM_CACHE_ROOT": str(tmp_path / "cache"),
            **environment,
        },
    )
    pod = MixturePod(runtime, volumes)
    try:
        pod.until_the_admin_port_answers()
        pod.want(trained("aaaaaaa1", "aaaaaaa1"))
        runtime.wait_until_ready()
        for revision in ("aaaaaaa1", "aaaaaaa2", "aaaaaaa1"):
            pod.serve(trained(revision, revision))
            answer = pod.post("/v1/completions", pod.completion(prompt, N)).raise_for_status().json()
            assert whose(pod.complete(prompt, N), expected) == [revision]
            [told] = pod.scalings(answer["id"])["generations"]
            agree(told, expected[revision], len(prompt))
    finally:
        pod.http.close()
        runtime.stop()
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
