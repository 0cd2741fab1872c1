"""What a user may change in the pods, and what the operator does not let go."""

from datetime import UTC, datetime
from typing import Any

import pytest

from lora_api.egress import DEFAULT, Egress
from lora_api.v1alpha1.engine import AcceleratorType
from lora_api.v1alpha1.model import Composition, LoRAModelSpec, LoRAModelStatus
from lora_operator.domain import render
from lora_operator.domain.observed import ObjectMeta, ObservedModel


def rendered_pod(spec: dict[str, Any], egress: Egress = DEFAULT) -> dict[str, Any]:
    template: dict[str, Any] = child("Deployment", spec, egress)["spec"]["template"]
    return template


def child(kind: str, spec: dict[str, Any], egress: Egress = DEFAULT) -> dict[str, Any]:
    config = render.RenderConfig(
        images={AcceleratorType.CPU: "cpu:1", AcceleratorType.NVIDIA: "cuda:1"},
        image_pull_policy="Never",
        operator_namespace="lora-system",
        operator_pod_labels={},
        egress=egress,
    )
    meta = ObjectMeta("m", "team", "uid", 1, datetime(2026, 1, 1, tzinfo=UTC))
    full = {"source": {"huggingFace": {"repo": "a/b"}}} | spec
    model = ObservedModel(meta, LoRAModelSpec.model_validate(full), LoRAModelStatus())
    return next(dict(made) for made in render.children(model, config) if made["kind"] == kind)


def runtime(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in template["spec"]["containers"] if c["name"] == render.CONTAINER)
    return found


def test_a_patch_adds_a_volume_and_a_mount_to_the_runtime_and_keeps_the_rest() -> None:
    patch = {
        "spec": {
            "containers": [{"name": "runtime", "volumeMounts": [{"name": "venv", "mountPath": "/venv"}]}],
            "volumes": [{"name": "venv", "hostPath": {"path": "/srv/venv"}}],
        }
    }
    template = rendered_pod({"podTemplate": patch})
    assert {"name": "venv", "hostPath": {"path": "/srv/venv"}} in template["spec"]["volumes"]
    assert {"name": "venv", "mountPath": "/venv"} in runtime(template)["volumeMounts"]
    assert runtime(template)["securityContext"]["readOnlyRootFilesystem"] is True


def test_a_patch_overrides_an_environment_variable_by_name() -> None:
    patch = {"spec": {"containers": [{"name": "runtime", "env": [{"name": "HF_HOME", "value": "/mine"}]}]}}
    env = runtime(rendered_pod({"podTemplate": patch}))["env"]
    assert [entry["value"] for entry in env if entry["name"] == "HF_HOME"] == ["/mine"]


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"metadata": {"labels": {"lora-operator.io/model": "other"}}}, "must not change lora-operator.io/model"),
        ({"metadata": {"labels": None}}, "must not change"),
        (
            {"spec": {"containers": [{"name": "runtime", "$patch": "delete"}]}},
            "must not remove the container 'runtime'",
        ),
        ({"spec": {"containers": {"name": "runtime"}}}, "spec.podTemplate.spec.containers: must be a list, got dict"),
        ({"spec": {"containers": [{"image": "x"}]}}, r"spec.podTemplate.spec.containers\[0\]: must be an object with"),
        ({"spec": 1}, "spec.podTemplate.spec: must be an object, got int"),
        ({"spec": None}, "must not remove the container"),
        ({"spec": {"$retainKeys": ["x"]}}, "this directive is not supported"),
        (
            {"spec": {"containers": [{"name": "runtime", "env": [{"name": "LORA_EGRESS", "value": "{}"}]}]}},
            "must not set LORA_EGRESS, which the operator sets",
        ),
        (
            {"spec": {"containers": [{"name": "runtime", "env": [{"name": "LORA_TLS_DIR", "$patch": "delete"}]}]}},
            "must not set LORA_TLS_DIR",
        ),
    ],
)
def test_a_patch_that_breaks_the_pods_is_refused_with_its_path(patch: dict[str, Any], message: str) -> None:
    with pytest.raises(render.RenderError, match=message):
        rendered_pod({"podTemplate": patch})


@pytest.mark.parametrize(("arguments", "drain_seconds"), [
    ([], 100),
    (["--shutdown-timeout=600"], 600),
    (["--shutdown-timeout=600", "--seed=1", "--shutdown_timeout", "30"], 30),
])  # fmt: skip
def test_a_pod_that_is_to_end_is_given_time_to_be_forgotten_to_end_its_requests_and_to_end(
    arguments: list[str], drain_seconds: int
) -> None:
    template = rendered_pod({"engine": {"extraArgs": arguments}})
    assert runtime(template)["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert template["spec"]["terminationGracePeriodSeconds"] == 5 + drain_seconds + 15


def test_an_accelerator_without_an_image_is_refused_with_the_setting_to_change() -> None:
    with pytest.raises(render.RenderError, match=r"no runtime image for TPU.*LORA_OPERATOR_IMAGES"):
        rendered_pod({"accelerator": {"type": "TPU"}})


def test_devices_are_added_to_the_limits_of_the_user() -> None:
    spec = {"accelerator": {"type": "NVIDIA", "count": 2}, "resources": {"limits": {"memory": "64Gi"}}}
    assert runtime(rendered_pod(spec))["resources"] == {"limits": {"memory": "64Gi", "nvidia.com/gpu": "2"}}


def test_a_device_can_be_taken_back_in_favour_of_a_slice() -> None:
    patch = {"resources": {"limits": {"nvidia.com/gpu": None, "nvidia.com/mig-1g.10gb": "1"}}}
    spec = {
        "accelerator": {"type": "NVIDIA"},
        "podTemplate": {"spec": {"containers": [{"name": "runtime"} | patch]}},
    }
    assert runtime(rendered_pod(spec))["resources"] == {"limits": {"nvidia.com/mig-1g.10gb": "1"}}


@pytest.mark.parametrize(("max_rank", "flag"), [(1, 1), (2, 8), (16, 16), (65, 128), (257, 320), (512, 512)])
def test_the_engine_gets_the_smallest_rank_it_takes_that_is_large_enough(max_rank: int, flag: int) -> None:
    assert f"--max-lora-rank={flag}" in runtime(rendered_pod({"adapters": {"maxRank": max_rank}}))["args"]


def test_the_engine_has_one_slot_more_than_asked_for_and_caches_two_sets_at_least() -> None:
    args = runtime(rendered_pod({"adapters": {"maxResident": 8, "maxCached": 8}}))["args"]
    assert "--max-loras=9" in args
    assert "--max-cpu-loras=18" in args


def test_flags_of_the_user_come_last_so_that_they_win() -> None:
    args = runtime(rendered_pod({"engine": {"extraArgs": ["--kv-cache-memory-bytes=4G"]}}))["args"]
    assert args.index("--kv-cache-memory-bytes=1073741824") < args.index("--kv-cache-memory-bytes=4G")


def test_what_the_runtime_sets_itself_is_not_said_twice() -> None:
    container = runtime(rendered_pod({"servedName": "chat"}))
    assert not [flag for flag in container["args"] if flag.startswith(("--model", "--served-model-name"))]
    names = {entry["name"] for entry in container["env"]}
    assert names.isdisjoint({"VLLM_WORKER_MULTIPROC_METHOD", "VLLM_CPU_KVCACHE_SPACE"})
    assert "LORA_SERVED_NAME" in names


@pytest.mark.parametrize(
    ("size_limit", "expected"),
    [("20Gi", 20 << 30), ("1.5Mi", 3 << 19), ("2G", 2 * 10**9), ("100k", 100_000), ("4096", 4096), ("1Ti", 1 << 40)],
)
def test_the_runtime_is_told_what_it_may_keep_before_the_kubelet_evicts_it(size_limit: str, expected: int) -> None:
    template = rendered_pod({"cache": {"sizeLimit": size_limit}})
    env = {entry["name"]: entry.get("value") for entry in runtime(template)["env"]}
    (state,) = (volume for volume in template["spec"]["volumes"] if volume["name"] == "state")
    assert state["emptyDir"]["sizeLimit"] == size_limit
    assert env["LORA_STATE_LIMIT_BYTES"] == str(expected)
    (mount,) = (mount for mount in runtime(template)["volumeMounts"] if mount["name"] == "state")
    assert env["LORA_STATE"] == mount["mountPath"]


@pytest.mark.parametrize("spec", [{}, {"cache": {"sizeLimit": "0"}}])
def test_without_a_limit_the_runtime_is_told_none(spec: dict[str, Any]) -> None:
    env = [entry["name"] for entry in runtime(rendered_pod(spec))["env"]]
    assert "LORA_STATE_LIMIT_BYTES" not in env


def test_the_runtime_is_told_where_sources_may_lead_only_when_the_administrator_chose() -> None:
    def told(egress: Egress) -> list[str]:
        return [entry["value"] for entry in runtime(rendered_pod({}, egress))["env"] if entry["name"] == "LORA_EGRESS"]

    chosen = Egress.model_validate({"allowedHosts": ["*.example.com"], "allowedAddresses": ["127.0.0.0/8"]})
    assert told(DEFAULT) == []
    assert [Egress.model_validate_json(text) for text in told(chosen)] == [chosen]


def test_the_runtime_lets_requests_compose_only_when_the_model_says_so() -> None:
    def told(spec: dict[str, Any]) -> list[str]:
        return [entry["value"] for entry in runtime(rendered_pod(spec))["env"] if entry["name"] == "LORA_COMPOSITION"]

    assert told({}) == []
    (text,) = told({"adapters": {"composition": {"maxKept": 3}}})
    assert Composition.model_validate_json(text) == Composition(max_kept=3, per_minute=30)


def test_who_may_be_shown_a_secret_restarts_no_pods() -> None:
    secret = {"secretRef": {"name": "team"}}

    assert rendered_pod({"credentials": [secret | {"hosts": ["ghcr.io"]}]}) == rendered_pod({"credentials": [secret]})


def mounts_of(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The volume behind each path in the runtime."""
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    return {mount["mountPath"]: volumes[mount["name"]] for mount in runtime(template)["volumeMounts"]}


def test_api_keys_are_one_key_of_the_secret_mounted_as_a_file() -> None:
    template = rendered_pod({"apiKey": {"secretRef": {"name": "clients"}, "key": "keys.txt"}})
    volume = mounts_of(template)["/etc/lora/api-keys"]["secret"]
    assert volume == {
        "secretName": "clients", "items": [{"key": "keys.txt", "path": "keys"}], "optional": True, "defaultMode": 0o440,
    }  # fmt: skip
    env = {entry["name"]: entry.get("value") for entry in runtime(template)["env"]}
    assert env["LORA_API_KEYS_FILE"] == "/etc/lora/api-keys/keys"


def test_without_api_keys_anybody_may_ask() -> None:
    assert "LORA_API_KEYS_FILE" not in {entry["name"] for entry in runtime(rendered_pod({}))["env"]}


def test_a_pod_mounts_the_certificate_of_its_own_model_alone() -> None:
    volume = mounts_of(rendered_pod({}))["/etc/lora/tls"]["secret"]
    assert volume["secretName"] == "lora-runtime-tls"
    assert [item["key"] for item in volume["items"]] == ["m.tls.crt", "m.tls.key", "ca.crt"]


@pytest.mark.parametrize(
    ("clients", "rules"),
    [
        ("Everywhere", [{"ports": [{"port": 8000, "protocol": "TCP"}]}]),
        ("Namespace", [{"ports": [{"port": 8000, "protocol": "TCP"}], "from": [{"podSelector": {}}]}]),
        ("Nowhere", []),
    ],
)
def test_the_network_policy_lets_in_whom_the_spec_says_and_the_operator(
    clients: str, rules: list[dict[str, Any]]
) -> None:
    policy = child("NetworkPolicy", {"reachableFrom": clients})
    *serving, admin = policy["spec"]["ingress"]
    assert serving == rules
    assert [port["port"] for port in admin["ports"]] == [8001]
    [operator] = admin["from"]
    assert operator["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "lora-system"}


@pytest.mark.parametrize("field", ["podTemplate", "resources"])
@pytest.mark.parametrize("levels", [60, 9000])
def test_what_is_nested_deeper_than_any_pod_is_refused_without_looking_into_it(field: str, levels: int) -> None:
    nest: Any = 1
    for _ in range(levels):
        nest = {"a": nest}
    with pytest.raises(render.RenderError, match=f"spec.{field}: must not be nested deeper than 50 levels"):
        rendered_pod({field: nest})
