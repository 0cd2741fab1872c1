"""What counts as a pod, and as a document, among what others may have written."""

import base64
import gzip
from typing import Any

import pytest

from lora_api.runtime_api import CONFIG_MAP_KEY, Desired
from lora_operator.reconcile.reading import is_of_deployment, read_desired


def a_pod(owner: dict[str, Any] | None, **labels: str) -> dict[str, Any]:
    metadata = {"name": "x", "labels": {"pod-template-hash": "6f8d"} | labels}
    return {"metadata": metadata | ({"ownerReferences": [owner]} if owner is not None else {})}


REPLICA_SET = {"kind": "ReplicaSet", "name": "smol-6f8d", "controller": True}


def test_a_pod_of_the_models_deployment_is_one() -> None:
    assert is_of_deployment(a_pod(REPLICA_SET), "smol")


@pytest.mark.parametrize(
    "owner",
    [
        None,
        REPLICA_SET | {"name": "other-6f8d"},
        REPLICA_SET | {"name": "smol-more-6f8d"},
        REPLICA_SET | {"kind": "Job"},
        REPLICA_SET | {"controller": False},
    ],
)
def test_a_pod_that_somebody_gave_its_labels_is_none(owner: dict[str, Any] | None) -> None:
    assert not is_of_deployment(a_pod(owner), "smol")


def stored(packed: bytes) -> dict[str, Any]:
    return {"binaryData": {CONFIG_MAP_KEY: base64.b64encode(packed).decode()}}


def test_a_document_is_read_as_it_was_packed() -> None:
    assert read_desired(stored(Desired(sequence=3).packed())) == Desired(sequence=3)


@pytest.mark.parametrize(
    "packed", [b"no gzip", gzip.compress(b"no document", mtime=0), Desired(sequence=3).packed()[:-9]]
)
def test_what_is_no_document_is_none(packed: bytes) -> None:
    assert read_desired(stored(packed)) is None
