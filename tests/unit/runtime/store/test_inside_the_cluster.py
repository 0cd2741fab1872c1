"""A pod asks no server with a private address unless the administrator says so, and none that is not on his list if there is one."""

from pathlib import Path
from typing import Any

import pytest

from lora_api.egress import DEFAULT, Egress
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from support.stores import a_source, open_at, refused

LISTED = Egress(allowed_hosts=("*.example.com",))
INSIDE = ("web.theirs.svc", "web.theirs.svc.cluster.local", "10.96.0.10")
NAME_OF_10_0_0_1 = "10.1"
"""No address by its form; to look it up needs no server."""

of_every_kind = pytest.mark.parametrize(
    ("kind", "fields"),
    [
        pytest.param("s3", {"bucket": "adapters", "endpoint": "http://{host}:9000"}, id="s3"),
        pytest.param("gcs", {"bucket": "adapters", "endpoint": "http://{host}"}, id="gcs"),
        pytest.param("http", {"url": "http://{host}:8080/pirate"}, id="http"),
        pytest.param("oci", {"reference": "{host}:5000/team/pirate:v1", "plainHTTP": True}, id="oci"),
    ],
)


def naming(host: str, kind: str, fields: dict[str, Any]) -> AdapterSource:
    return a_source(
        kind, **{key: value.format(host=host) if isinstance(value, str) else value for key, value in fields.items()}
    )


@of_every_kind
@pytest.mark.parametrize("host", ["10.96.0.10", NAME_OF_10_0_0_1])
async def test_a_server_inside_the_cluster_is_not_asked_when_there_is_no_list(
    tmp_path: Path, kind: str, fields: dict[str, Any], host: str
) -> None:
    refusal = await refused(open_at(tmp_path, DEFAULT), naming(host, kind, fields))

    assert refusal.reason is Reason.SOURCE_FORBIDDEN
    assert "a private address, as pods of every namespace have one" in refusal.message


@pytest.mark.parametrize("host", INSIDE)
@of_every_kind
async def test_a_server_inside_the_cluster_is_not_asked_when_there_is_a_list_without_it(
    tmp_path: Path, kind: str, fields: dict[str, Any], host: str
) -> None:
    refusal = await refused(open_at(tmp_path, LISTED), naming(host, kind, fields))

    assert refusal.reason is Reason.SOURCE_FORBIDDEN
    assert f"{host} is none of them" in refusal.message


async def test_a_bucket_in_front_of_a_listed_name_leads_to_no_other_server(tmp_path: Path) -> None:
    listed = Egress(allowed_hosts=("svc.cluster.local",))
    source = a_source("s3", bucket="web.theirs", endpoint="http://svc.cluster.local", pathStyle=False)

    refusal = await refused(open_at(tmp_path, listed), source)

    assert refusal.reason is Reason.SOURCE_FORBIDDEN
    assert "web.theirs.svc.cluster.local is none of them" in refusal.message
