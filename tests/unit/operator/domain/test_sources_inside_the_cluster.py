"""Servers inside the cluster, of any namespace: no source reaches them, unless the administrator says so.

What can be seen in a spec is held against that here; what a name turns out to be, by the pods: `runtime/store/test_inside_the_cluster.py`.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic.alias_generators import to_camel

from lora_api.egress import DEFAULT, Egress
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_operator.domain import acceptance
from lora_operator.domain.acceptance import Policy
from support.builders import a_model, a_snapshot, an_adapter

LISTED = Egress(allowed_hosts=("*.example.com", "ghcr.io"))
NAMES = ("web.theirs.svc", "web.theirs.svc.cluster.local", "web.theirs", "web")
ADDRESSES = ("10.96.0.10", "10.244.1.7", "192.168.7.3", "100.64.0.9")
SOURCES: dict[str, Callable[[str], dict[str, Any]]] = {
    "s3": lambda host: {"bucket": "adapters", "endpoint": f"http://{host}:9000"},
    "gcs": lambda host: {"bucket": "adapters", "endpoint": f"http://{host}"},
    "http": lambda host: {"url": f"http://{host}:8080/pirate"},
    "oci": lambda host: {"reference": f"{host}:5000/team/pirate:v1", "plainHTTP": True},
}
WITHOUT_A_SERVER_OF_THE_AUTHORS = {"huggingFace", "volume"}
NO_PLACE = {"credentialsRef", "pollSeconds"}


def rejection(kind: str, host: str, egress: Egress) -> Any:
    adapter = an_adapter(source={kind: SOURCES[kind](host)})
    return acceptance.rejections(a_snapshot(adapter, model=a_model()), Policy(egress=egress)).get(adapter.meta.uid)


def test_every_kind_of_source_for_which_its_author_chooses_a_server_is_tried_here() -> None:
    kinds = {to_camel(name) for name in AdapterSource.model_fields} - NO_PLACE

    assert kinds - WITHOUT_A_SERVER_OF_THE_AUTHORS == SOURCES.keys()


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("host", [*NAMES, *ADDRESSES])
def test_a_list_of_allowed_servers_keeps_every_source_from_those_inside_the_cluster(kind: str, host: str) -> None:
    found = rejection(kind, host, LISTED)

    assert found.reason is Reason.SOURCE_FORBIDDEN
    assert f"allows sources on *.example.com, ghcr.io only, and {host} is none of them" in found.message


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("host", ADDRESSES)
def test_without_a_list_no_source_may_name_their_addresses(kind: str, host: str) -> None:
    found = rejection(kind, host, DEFAULT)

    assert found.reason is Reason.SOURCE_FORBIDDEN
    assert f"{host} is a private address" in found.message


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("host", [*NAMES, *ADDRESSES])
def test_a_source_may_name_one_that_is_on_the_list(kind: str, host: str) -> None:
    assert rejection(kind, host, Egress(allowed_hosts=(host,))) is None
