from datetime import timedelta
from typing import Any

import pytest

from lora_api.egress import DEFAULT, Egress
from lora_api.recipes.outcome import Rejected
from lora_api.v1alpha1.conditions import Reason
from lora_operator.domain import acceptance
from lora_operator.domain.acceptance import Policy
from lora_operator.domain.observed import ObservedAdapter, ObservedModel
from support.builders import (
    LONG_AGO,
    a_blend,
    a_model,
    a_snapshot,
    a_snapshot_without_model,
    an_adapter,
)

HOST_PATH = [{"name": "files", "hostPath": {"path": "/srv"}}]
PVC = [{"name": "files", "pvc": {"claimName": "files"}}]
ON_VOLUME = {"volume": {"name": "files", "path": "pirate"}}


SOURCES: dict[str, dict[str, Any]] = {
    "s3": {"s3": {"bucket": "adapters", "endpoint": "https://files.example.com:9000"}},
    "gcs": {"gcs": {"bucket": "adapters", "endpoint": "https://files.example.com"}},
    "http": {"http": {"url": "https://files.example.com/pirate"}},
    "oci": {"oci": {"reference": "files.example.com:5000/team/pirate:v1"}},
}


def rejections(
    *adapters: ObservedAdapter,
    model: ObservedModel | None = None,
    allow_host_path: bool = False,
    egress: Egress = DEFAULT,
) -> dict[str, Rejected]:
    """By name of the adapter."""
    found = acceptance.rejections(a_snapshot(*adapters, model=model), Policy(allow_host_path, egress))
    return {adapter.meta.name: found[adapter.meta.uid] for adapter in adapters if adapter.meta.uid in found}


def test_an_adapter_of_a_model_that_does_not_exist_is_rejected_and_the_model_is_named() -> None:
    found = acceptance.rejections(a_snapshot_without_model(an_adapter()), Policy())

    assert found["uid-pirate"].reason is Reason.MODEL_NOT_FOUND
    assert "LoRAModel smol in namespace team; create it" in found["uid-pirate"].message
    assert "delete the LoRAAdapter and create it with the right one" in found["uid-pirate"].message


def test_an_ordinary_adapter_is_accepted() -> None:
    assert rejections(an_adapter()) == {}


def test_the_older_of_two_adapters_has_a_served_name() -> None:
    older = an_adapter("z-old", servedName="voice")
    younger = an_adapter("a-new", servedName="voice", created=LONG_AGO + timedelta(seconds=1))

    found = rejections(younger, older)

    assert found.keys() == {"a-new"}
    assert found["a-new"].reason is Reason.NAME_CONFLICT
    assert "older LoRAAdapter z-old" in found["a-new"].message


def test_of_two_adapters_created_in_the_same_second_the_lower_uid_has_a_served_name() -> None:
    found = rejections(an_adapter("one", servedName="voice", uid="b"), an_adapter("two", servedName="voice", uid="a"))

    assert found.keys() == {"one"}


@pytest.mark.parametrize("model", [a_model(), a_model(servedName="base")])
def test_an_adapter_may_not_take_the_name_of_the_base_model(model: ObservedModel) -> None:
    name = model.spec.served_name or model.meta.name

    assert rejections(an_adapter(servedName=name), model=model)["pirate"].reason is Reason.NAME_CONFLICT


def test_a_volume_that_the_model_does_not_mount_is_named_with_what_to_add() -> None:
    found = rejections(an_adapter(source=ON_VOLUME))["pirate"]

    assert found.reason is Reason.VOLUME_NOT_MOUNTED
    assert "'files'" in found.message
    assert "spec.volumes of LoRAModel smol" in found.message
    assert "(mounted: none)" in found.message


def test_a_misspelt_volume_is_told_with_those_that_are_mounted() -> None:
    model = a_model(volumes=[*PVC, {"name": "more", "pvc": {"claimName": "more"}}])

    found = rejections(an_adapter(source={"volume": {"name": "flies", "path": "pirate"}}), model=model)["pirate"]

    assert "'flies' (mounted: files, more); correct the name" in found.message


def test_a_secret_that_the_model_does_not_mount_is_named_with_what_to_add() -> None:
    source = {"huggingFace": {"repo": "team/pirate"}, "credentialsRef": {"name": "hub"}}
    model = a_model(credentials=[{"secretRef": {"name": "hub"}}])

    found = rejections(an_adapter(source=source))["pirate"]

    assert found.reason is Reason.CREDENTIALS_NOT_MOUNTED
    assert "{secretRef: {name: hub}}" in found.message
    assert rejections(an_adapter(source=source), model=model) == {}


def test_a_folder_of_the_node_is_refused_unless_the_operator_allows_it() -> None:
    adapter, model = an_adapter(source=ON_VOLUME), a_model(volumes=HOST_PATH)

    assert rejections(adapter, model=model)["pirate"].reason is Reason.SOURCE_FORBIDDEN
    assert rejections(adapter, model=model, allow_host_path=True) == {}


def test_adapters_that_do_not_use_a_forbidden_volume_are_accepted() -> None:
    assert rejections(an_adapter(), model=a_model(volumes=HOST_PATH)) == {}


def test_a_blend_of_an_adapter_that_the_model_does_not_have_is_rejected() -> None:
    found = rejections(an_adapter("pirate"), a_blend("both", {"pirate": 1, "ghost": 1}))

    assert found.keys() == {"both"}
    assert found["both"].reason is Reason.MEMBER_NOT_FOUND
    assert "the model smol has no LoRAAdapter ghost" in found["both"].message


def test_a_blend_of_itself_through_another_is_rejected_and_the_path_is_printed() -> None:
    found = rejections(a_blend("a", {"b": 1}), a_blend("b", {"a": 1}))

    assert {name: rejected.reason for name, rejected in found.items()} == {
        "a": Reason.BLEND_CYCLE,
        "b": Reason.BLEND_CYCLE,
    }
    assert "a -> b -> a" in found["a"].message


def test_a_blend_of_itself_is_rejected() -> None:
    assert "a -> a" in rejections(a_blend("a", {"a": 1}))["a"].message


def test_a_blend_that_leads_into_a_cycle_is_not_part_of_it() -> None:
    found = rejections(a_blend("outside", {"a": 1}), a_blend("a", {"b": 1}), a_blend("b", {"a": 1}))

    assert found.keys() == {"a", "b"}


def test_a_blend_that_reaches_one_member_on_two_ways_is_no_cycle() -> None:
    leaf, left, right = an_adapter("leaf"), a_blend("left", {"leaf": 1}), a_blend("right", {"leaf": 1})

    assert rejections(leaf, left, right, a_blend("top", {"left": 1, "right": 1})) == {}


@pytest.mark.parametrize("name", ["my.model", "1st", "x" * 41, "a-"])
def test_a_model_whose_name_cannot_name_a_service_is_rejected(name: str) -> None:
    rejected = acceptance.model_rejection(a_snapshot(model=a_model(name)), Policy())

    assert rejected is not None
    assert rejected.reason is Reason.INVALID_NAME
    assert name in rejected.message


def test_a_model_whose_children_belong_to_another_is_rejected_and_the_owner_is_named() -> None:
    snapshot = a_snapshot(conflicting={"Service/smol": "Deployment web"})

    rejected = acceptance.model_rejection(snapshot, Policy())

    assert rejected is not None
    assert rejected.reason is Reason.NAME_CONFLICT
    assert "Service/smol belongs to Deployment web" in rejected.message


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        ({"volumes": HOST_PATH}, "spec.volumes files"),
        ({"podTemplate": {"spec": {"volumes": HOST_PATH}}}, "spec.podTemplate.spec.volumes files"),
    ],
)
def test_a_model_that_mounts_a_folder_of_the_node_is_rejected_unless_allowed(spec: dict[str, Any], where: str) -> None:
    snapshot = a_snapshot(model=a_model(**spec))

    rejected = acceptance.model_rejection(snapshot, Policy())

    assert rejected is not None
    assert rejected.reason is Reason.SOURCE_FORBIDDEN
    assert where in rejected.message
    assert "LORA_OPERATOR_ALLOW_HOST_PATH" in rejected.message
    assert acceptance.model_rejection(snapshot, Policy(allow_host_path=True)) is None
    assert acceptance.model_rejection(a_snapshot(model=a_model(volumes=PVC)), Policy()) is None


@pytest.mark.parametrize("template", [{"spec": 1}, {"spec": {"volumes": {}}}, {"spec": {"volumes": [1]}}])
def test_a_malformed_pod_template_is_for_rendering_to_refuse(template: dict[str, Any]) -> None:
    assert acceptance.model_rejection(a_snapshot(model=a_model(podTemplate=template)), Policy()) is None


def test_a_pod_template_that_cannot_be_merged_rejects_the_model() -> None:
    rejected = acceptance.model_rejection(a_snapshot(), Policy(), render_error="containers must be a list")

    assert rejected is not None
    assert rejected.reason is Reason.INVALID_POD_TEMPLATE
    assert "containers must be a list" in rejected.message


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_the_credentials_of_every_kind_of_source_must_be_listed(source: dict[str, Any]) -> None:
    adapter = an_adapter(source=source | {"credentialsRef": {"name": "team"}})

    assert rejections(adapter)["pirate"].reason is Reason.CREDENTIALS_NOT_MOUNTED
    assert rejections(adapter, model=a_model(credentials=[{"secretRef": {"name": "team"}}])) == {}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_a_server_must_be_on_the_administrators_list_when_there_is_one(source: dict[str, Any]) -> None:
    adapter = an_adapter(source=source)

    assert rejections(adapter, egress=Egress(allowed_hosts=("*.example.com",))) == {}
    found = rejections(adapter, egress=Egress(allowed_hosts=("other.example.com",)))["pirate"]
    assert found.reason is Reason.SOURCE_FORBIDDEN
    assert "allows sources on other.example.com only, and files.example.com is none of them" in found.message
    assert "egress.allowedHosts" in found.message


@pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1:8080", "[::1]:8080", "[fd00:ec2::254]"])
def test_an_address_that_nobody_may_fetch_from_is_rejected_before_a_pod_is_asked(host: str) -> None:
    found = rejections(an_adapter(source={"http": {"url": f"http://{host}/pirate"}}))["pirate"]
    assert found.reason is Reason.SOURCE_FORBIDDEN
    assert "a loopback, link-local or metadata address" in found.message


def test_clouds_own_servers_are_judged_by_the_pods() -> None:
    adapter = an_adapter(source={"s3": {"bucket": "adapters"}})
    assert rejections(adapter, egress=Egress(allowed_hosts=("other.example.com",))) == {}


@pytest.mark.parametrize(
    "source",
    [
        {"http": {"url": "http://[1.2]/pirate"}},
        {"oci": {"reference": "[:]:5000/pirate"}},
        {"s3": {"bucket": "adapters", "endpoint": "http://[::::]"}},
    ],
    ids=lambda source: "".join(source),
)
def test_brackets_that_hold_no_address_are_for_the_pods_to_refuse(source: dict[str, Any]) -> None:
    listed = Egress(allowed_hosts=("files.example.com",))

    assert rejections(an_adapter(source=source), an_adapter("other")) == {}
    assert rejections(an_adapter(source=source), egress=listed)["pirate"].reason is Reason.SOURCE_FORBIDDEN


def a_model_that_shows_its_secret_to(*hosts: str) -> ObservedModel:
    return a_model(credentials=[{"secretRef": {"name": "team"}, "hosts": list(hosts)}])


def with_the_secret(source: dict[str, Any]) -> ObservedAdapter:
    return an_adapter(source=source | {"credentialsRef": {"name": "team"}})


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
@pytest.mark.parametrize("pattern", ["files.example.com", "FILES.example.com", "*.example.com", "*"])
def test_a_secret_may_be_shown_to_the_servers_of_its_list(source: dict[str, Any], pattern: str) -> None:
    assert rejections(with_the_secret(source), model=a_model_that_shows_its_secret_to("ghcr.io", pattern)) == {}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_a_secret_is_not_shown_to_a_server_that_is_not_on_its_list(source: dict[str, Any]) -> None:
    model = a_model_that_shows_its_secret_to("ghcr.io", "*.files.example.com")

    found = rejections(with_the_secret(source), model=model)["pirate"]

    assert found.reason is Reason.SOURCE_FORBIDDEN
    assert "may not be fetched with the Secret 'team'" in found.message
    assert "spec.credentials of LoRAModel smol lets ghcr.io, *.files.example.com see it only" in found.message
    assert "files.example.com is none of them" in found.message
    assert "have files.example.com added to the `hosts` of 'team'" in found.message


@pytest.mark.parametrize(
    ("source", "host"),
    [
        ({"s3": {"bucket": "adapters"}}, "adapters.s3.us-east-1.amazonaws.com"),
        ({"s3": {"bucket": "with.dots", "region": "eu-west-1"}}, "s3.eu-west-1.amazonaws.com"),
        ({"s3": {"bucket": "evil", "endpoint": "https://a.example:9000", "pathStyle": False}}, "evil.a.example"),
        ({"s3": {"bucket": "evil", "endpoint": "https://[2600::1]:9000", "pathStyle": False}}, "evil.[2600::1"),
        ({"gcs": {"bucket": "adapters"}}, "storage.googleapis.com"),
    ],
    ids=["Amazon", "Amazon by path", "a bucket before its server", "a bucket before an address", "Google"],
)
def test_what_counts_is_the_server_that_the_pods_would_ask(source: dict[str, Any], host: str) -> None:
    found = rejections(with_the_secret(source), model=a_model_that_shows_its_secret_to("a.example"))["pirate"]

    assert f"{host} is none of them" in found.message


def test_a_cloud_is_listed_like_any_server() -> None:
    model = a_model_that_shows_its_secret_to("*.amazonaws.com", "storage.googleapis.com")

    assert rejections(with_the_secret({"s3": {"bucket": "adapters"}}), model=model) == {}
    assert rejections(with_the_secret({"gcs": {"bucket": "adapters"}}), model=model) == {}


@pytest.mark.parametrize("source", [{"huggingFace": {"repo": "team/pirate"}}, ON_VOLUME], ids=["hub", "volume"])
def test_the_list_of_a_secret_is_for_servers_that_authors_choose(source: dict[str, Any]) -> None:
    model = a_model(credentials=[{"secretRef": {"name": "team"}, "hosts": ["ghcr.io"]}], volumes=PVC)

    assert rejections(with_the_secret(source), model=model) == {}


def test_the_list_of_a_secret_binds_those_alone_who_name_it() -> None:
    model = a_model(
        credentials=[{"secretRef": {"name": "hub"}, "hosts": ["huggingface.co"]}, {"secretRef": {"name": "team"}}]
    )

    assert rejections(with_the_secret(SOURCES["http"]), model=model) == {}
    assert rejections(an_adapter(source=SOURCES["http"]), model=model) == {}
