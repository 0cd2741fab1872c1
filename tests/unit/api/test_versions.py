"""What operators and runtimes of version 0.1 said to each other is understood, and called the same.

The files in `wire/` are as those wrote them, and are never changed: a later format that cannot read them breaks
clusters whose operator and pods are of different versions, as in every upgrade.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from lora_api.mixture_api import MixtureReport
from lora_api.runtime_api import Desired, Inventory, Refusal, ResolveRequest, ResolveResponse, RevisionReport
from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.conditions import Reason
from lora_api.wire import WireModel

WIRE = Path(__file__).parent / "wire"
ETAG = "0a1ada4aed77aaa1"


def told(name: str) -> Any:
    return json.loads((WIRE / f"{name}.json").read_text())


def holds(said: Any, understood: Any) -> bool:
    """Whether all that was said is in what was understood."""
    match said:
        case dict():
            return all(name in understood and holds(value, understood[name]) for name, value in said.items())
        case list():
            return len(said) == len(understood) and all(map(holds, said, understood))
        case _:
            return bool(said == understood)


@pytest.mark.parametrize(
    ("name", "message"),
    [("desired", Desired), ("inventory", Inventory), ("question", ResolveRequest), ("resolved", ResolveResponse)],
)
def test_all_of_an_earlier_message_is_understood(name: str, message: type[WireModel]) -> None:
    understood = message.model_validate(told(name)).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert holds(told(name), understood)


def test_an_earlier_document_in_a_config_map_keeps_its_etag() -> None:
    packed = gzip.compress(json.dumps(told("desired"), sort_keys=True, separators=(",", ":")).encode())
    assert Desired.unpacked(packed).etag == ETAG


@pytest.mark.parametrize(
    ("name", "message"),
    [("desired", Desired), ("inventory", Inventory), ("question", ResolveRequest), ("resolved", ResolveResponse)],
)
def test_what_a_later_version_adds_is_passed_over(name: str, message: type[WireModel]) -> None:
    earlier = told(name)
    assert message.model_validate({**earlier, "ofALaterVersion": {"x": 1}}) == message.model_validate(earlier)


def test_a_status_of_another_version_is_read_as_far_as_it_goes() -> None:
    status = LoRAAdapterStatus.model_validate({"revision": "0a1b2c3d", "ofALaterVersion": 1})
    assert status == LoRAAdapterStatus(revision="0a1b2c3d")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (RevisionReport, {"revision": "0a1b2c3d", "state": "Failed"}),
        (MixtureReport, {"revision": "0a1b2c3d", "state": "Failed"}),
        (Refusal, {"condition": "Compatible", "retryable": False}),
    ],
)
def test_a_reason_that_only_a_later_version_has_hides_neither_the_pod_nor_the_words(
    message: type[RevisionReport | MixtureReport | Refusal], said: dict[str, Any]
) -> None:
    understood = message.model_validate({**said, "reason": "OfALaterVersion", "message": "the moon is full"})
    assert (understood.reason, understood.message) == (Reason.LOAD_FAILED, "the moon is full")
    assert message.model_validate({**said, "reason": "RankTooLarge", "message": ""}).reason is Reason.RANK_TOO_LARGE


def test_a_pod_that_says_a_reason_of_a_later_version_is_heard_about_the_rest() -> None:
    earlier = told("inventory")
    later = json.loads(json.dumps(earlier).replace('"RankTooLarge"', '"OfALaterVersion"'))
    assert later != earlier
    was, heard = Inventory.model_validate(earlier), Inventory.model_validate(later)
    assert heard.adapters[0] == was.adapters[0]
