"""When a revision that failed is tried again."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from lora_api.runtime_api import Part, RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.held import Held

PART = Part(source=AdapterSource(volume=VolumeSource(name="shared")), digest="sha256:" + "a" * 64, weight=1.0)
SPEC = RevisionSpec.of((PART,), BlendMethod.CONCAT, Precision.AUTO)


def failed(tries: int, now: float, *, retryable: bool = True) -> float:
    held = Held(SPEC)
    for _ in range(tries):
        held.failed(Reason.SOURCE_UNREACHABLE, "down", retryable=retryable, now=now)
    return held.retry_at


@given(st.integers(1, 2000), st.floats(0, 1e7))
def test_a_passing_failure_is_retried_ever_later_and_at_least_every_75_seconds(tries: int, now: float) -> None:
    delay = failed(tries, now) - now
    ordinary = min(60.0, 2.0 ** min(tries, 10))
    assert 0.75 * ordinary - 0.01 <= delay <= 1.25 * ordinary + 0.01


def test_pods_that_failed_together_do_not_come_back_together() -> None:
    delays = {round(failed(6, 1000 + n * 0.000137) - 1000, 1) for n in range(100)}
    assert len(delays) > 50


def test_a_final_failure_is_not_retried() -> None:
    assert failed(1, 5.0, retryable=False) == math.inf
