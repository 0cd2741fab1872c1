"""What operator and runtime compare documents by."""

from lora_api.runtime_api import Desired, DesiredAdapter


def test_documents_are_told_apart_by_their_etag_and_a_copy_has_its_own() -> None:
    document = Desired(sequence=1, adapters=(DesiredAdapter(name="x", uid="u"),))
    assert document.etag == Desired.unpacked(document.packed()).etag
    later = document.model_copy(update={"sequence": 2})
    assert later.etag != document.etag
    assert later.etag == Desired(sequence=2, adapters=document.adapters).etag
    assert document == Desired(sequence=1, adapters=document.adapters), "a known etag is no part of the value"
