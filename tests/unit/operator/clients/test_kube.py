"""Whose fault a refusal of the API server is."""

from http import HTTPStatus

import pytest
from kubernetes.aio import client

from lora_operator.clients import resources
from lora_operator.clients.kube import Kube, KubeError

QUANTITY = "failed to convert new object (team/smol; apps/v1, Kind=Deployment) to proper version: quantities must match"
SHAPE = "failed to create typed patch object (team/smol; apps/v1, Kind=Deployment): .spec.template: expected map"


@pytest.mark.parametrize(
    ("status", "message", "malformed", "refusal"),
    [
        (HTTPStatus.UNPROCESSABLE_ENTITY, "restartPolicy: unsupported", True, True),
        (HTTPStatus.BAD_REQUEST, "no such field", True, True),
        (HTTPStatus.INTERNAL_SERVER_ERROR, QUANTITY, True, True),
        (HTTPStatus.INTERNAL_SERVER_ERROR, SHAPE, True, True),
        (HTTPStatus.FORBIDDEN, "exceeded quota", False, True),
        (HTTPStatus.INTERNAL_SERVER_ERROR, "etcdserver: request timed out", False, False),
        (0, "no answer", False, False),
    ],
)
def test_a_refusal_is_held_against_the_object_only_if_it_is_at_fault(
    status: int, message: str, *, malformed: bool, refusal: bool
) -> None:
    error = KubeError(status, message)
    assert (error.is_malformed, error.is_refusal) == (malformed, refusal)


async def test_nothing_is_sent_once_there_is_no_time_to_write() -> None:
    async with Kube(client.Configuration(host="https://127.0.0.254")) as kube:
        with pytest.raises(KubeError, match="not sent, since another operator may be at work"):
            await kube.writing_while(lambda: 0.0).create(resources.EVENTS, {"metadata": {"namespace": "team"}})
        with pytest.raises(KubeError, match="no answer from the API server"):
            await kube.writing_while(lambda: 0.0).list(resources.MODELS, "team")
