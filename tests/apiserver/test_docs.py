"""YAML that the documentation shows is what a real API server, or the chart, takes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from local_cluster import Cluster
from lora_api.v1alpha1.adapter import LoRAAdapterSpec
from support.chart import rendered
from support.custom_resources import ADAPTER, MODEL
from support.snippets import PAGES, snippets

pytestmark = pytest.mark.apiserver

Json = dict[str, Any]
OF_OTHERS = {"keda.sh/v1alpha1"}
"""Not in this API server."""
FIELDS_OF_AN_ADAPTER = {field.alias for field in LoRAAdapterSpec.model_fields.values()}


def shown() -> Iterator[tuple[str, Json]]:
    """Each block of a page, and what it holds."""
    for page in PAGES:
        for snippet in snippets(page):
            if snippet.language == "yaml":
                yield from ((str(snippet), held) for held in yaml.safe_load_all(snippet.text))


def whole(part: Json) -> Json:
    """The object that a page shows, or shows a part of."""
    if "kind" in part:
        return part
    around = ADAPTER if part["spec"].keys() <= FIELDS_OF_AN_ADAPTER else MODEL
    replaced = {"source"} if "blend" in part["spec"] else set()
    kept = {name: value for name, value in around["spec"].items() if name not in replaced}
    return {**around, "spec": kept | part["spec"]}


BLOCKS = list(shown())


def test_every_object_in_the_documentation_is_accepted(api_server: Cluster, namespace: str) -> None:
    objects = [(place, whole(part)) for place, part in BLOCKS if "kind" in part or "spec" in part]
    accepted = [(place, found) for place, found in objects if found["apiVersion"] not in OF_OTHERS]
    assert len(accepted) > 20
    for place, found in accepted:
        api_server.kubectl(
            *("apply", "--namespace", namespace, "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"),
            stdin=json.dumps(found | {"metadata": found["metadata"] | {"annotations": {"docs": place}}}),
        )


def test_everything_else_is_a_value_of_the_chart() -> None:
    values = [part for _, part in BLOCKS if not part.keys() & {"kind", "spec"}]
    assert values
    for part in values:
        assert rendered(part)
