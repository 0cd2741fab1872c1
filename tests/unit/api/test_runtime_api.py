"""What operator and runtime compare documents by, and how far they read one that is none."""

import gzip

import pytest
from pydantic import ValidationError

from lora_api.runtime_api import MAX_MESSAGE_BYTES, MAX_NAMES, Desired, DesiredAdapter, Inventory, WireModel


def test_documents_are_told_apart_by_their_etag_and_a_copy_has_its_own() -> None:
    document = Desired(sequence=1, adapters=(DesiredAdapter(name="x", uid="u"),))
    assert document.etag == Desired.unpacked(document.packed()).etag
    later = document.model_copy(update={"sequence": 2})
    assert later.etag != document.etag
    assert later.etag == Desired(sequence=2, adapters=document.adapters).etag
    assert document == Desired(sequence=1, adapters=document.adapters), "a known etag is no part of the value"


def test_a_document_that_unfolds_into_too_much_is_not_unfolded() -> None:
    with pytest.raises(ValueError, match=f"longer than {MAX_MESSAGE_BYTES} bytes"):
        Desired.unpacked(gzip.compress(b" " * (MAX_MESSAGE_BYTES + 1)))


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Desired, '{"adapters": [0, 0, 0]}'),
        (Desired, '{"adapters": [{"name": "a", "serve": {"revision": "00000000", "parts": [0, 0, 0]}}]}'),
        (Inventory, '{"bootId": "b", "etag": "e", "adapters": [0, 0, 0]}'),
        (Inventory, '{"bootId": "b", "etag": "e", "adapters": [{"name": "a", "revisions": [0, 0, 0]}]}'),
    ],
)
def test_of_millions_of_mistakes_the_first_is_told(message: type[WireModel], text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        message.model_validate_json(text)
    places = [error["loc"] for error in refusal.value.errors()]
    assert not any(1 in place or 2 in place for place in places)


def test_more_names_than_an_engine_can_hold_are_not_read() -> None:
    names = ",".join(["{}"] * (MAX_NAMES + 1)).replace("{}", '{"name":"a"}')
    with pytest.raises(ValidationError, match="at most"):
        Inventory.model_validate_json(f'{{"bootId": "b", "etag": "e", "adapters": [{names}]}}')
