"""Ways to start vLLM that do not go with a mixture end with the reason, before anything is served."""

from pathlib import Path

import pytest

from support import mixtures
from support.mixture_process import start_mixture
from support.models import tiny_base


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("--enable-lora", "X-LoRA cannot be served with --enable-lora: the experts are in the model"),
        ("--pipeline-parallel-size=2", "Pipeline parallelism is not supported for this model"),
        ("--speculative-config={\"method\": \"ngram\", \"num_speculative_tokens\": 2}", "with --speculative-config: drafts"),
    ],
)  # fmt: skip
def test_it_is_said_what_to_leave_out(tmp_path: Path, flag: str, reason: str) -> None:
    base = tiny_base(tmp_path / "base")
    model = mixtures.in_peft(base, mixtures.tiny_experts(tmp_path, base))
    package = mixtures.packed(mixtures.save(model, tmp_path / "checkpoint"), base, tmp_path / "model")
    served = start_mixture(tmp_path / "pod", package, flags=("--enforce-eager", flag))
    try:
        with pytest.raises(AssertionError, match="the runtime ended with 1"):
            served.wait_until_ready()
        assert reason in served.log.read_text()
    finally:
        served.stop()
