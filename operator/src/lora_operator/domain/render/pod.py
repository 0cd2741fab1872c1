"""The pod template of one LoRAModel."""

from collections.abc import Iterable, Mapping
from typing import Any

from lora_api import labels
from lora_api.accelerators import PROFILES, Profile
from lora_api.egress import DEFAULT as DEFAULT_EGRESS
from lora_api.v1alpha1.model import LoRAModelSpec
from lora_operator.domain.observed import ObservedModel
from lora_operator.domain.render import merge, mounts
from lora_operator.domain.render.config import RenderConfig
from lora_operator.domain.render.engine_flags import SERVING_PORT, drain_seconds, engine_flags
from lora_operator.domain.render.errors import RenderError
from lora_operator.domain.render.quantities import quantity_bytes

CONTAINER = "runtime"
ADMIN_PORT = 8001

_USER = 65532
_DEEPEST = 50
"""Levels of a patch; no field of a pod lies as deep."""
_FORGOTTEN_SECONDS = 5
"""Until endpoints have forgotten a pod that is to end, which answers on meanwhile."""
_END_SECONDS = 15
"""For the process to end once its requests have."""
_STARTUP_PERIOD_SECONDS = 2
_STARTUP_BUDGET_SECONDS = 3600
"""Time to download and load a large base model. An engine that dies earlier ends its process: no waiting for that."""


def pod_template(
    model: ObservedModel, config: RenderConfig, config_map: str, mixture_mark: str | None = None
) -> dict[str, Any]:
    """The generated template with the user's `spec.podTemplate` merged into it.

    Raises:
        RenderError: the patch is malformed, or takes away what the operator relies on.
    """
    for field, value in (("podTemplate", model.spec.pod_template), ("resources", model.spec.resources)):
        if merge.is_deeper(value, _DEEPEST):
            raise RenderError(f"spec.{field}: must not be nested deeper than {_DEEPEST} levels")
    found = mounts.mounts(model.meta.name, model.spec, config_map)
    metadata: dict[str, Any] = {"labels": labels.children(model.meta.name, "runtime")}
    if mixture_mark is not None:
        metadata["annotations"] = {labels.MIXTURE: mixture_mark}
    generated = {
        "metadata": metadata,
        "spec": _pod_spec(model, config, found),
    }
    try:
        template = merge.merge(generated, model.spec.pod_template)
    except merge.MergeError as error:
        raise RenderError(f"spec.{error}") from error
    _check(template, model.meta.name)
    _check_settings(generated, template)
    return template


def _pod_spec(model: ObservedModel, config: RenderConfig, found: list[mounts.Mount]) -> dict[str, Any]:
    return {
        # A Service named `vllm` would inject VLLM_PORT=tcp://..., which vLLM takes for its own setting and dies of.
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": _FORGOTTEN_SECONDS + drain_seconds(model.spec) + _END_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "topologyKey": "kubernetes.io/hostname",
                "maxSkew": 1,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels.selector(model.meta.name)},
            }
        ],
        "containers": [_container(model, config, found)],
        "volumes": [mount.volume for mount in found],
    }


def _container(model: ObservedModel, config: RenderConfig, found: list[mounts.Mount]) -> dict[str, Any]:
    spec = model.spec
    profile = PROFILES[spec.accelerator.type]
    image = config.images.get(spec.accelerator.type)
    if not image:
        raise RenderError(
            f"spec.accelerator.type: the operator has no runtime image for {spec.accelerator.type}; "
            "set one in the Helm value `runtimeImages` (LORA_OPERATOR_IMAGES)",
        )
    served_name = spec.served_name or model.meta.name
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": config.image_pull_policy,
        "command": ["python3", "-m", "lora_runtime"],
        "args": engine_flags(spec),
        "env": _env(spec, served_name, profile, config),
        "ports": [{"name": "http", "containerPort": SERVING_PORT}, {"name": "admin", "containerPort": ADMIN_PORT}],
        "resources": _resources(spec, profile),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "startupProbe": _probe(
            "/health", _STARTUP_PERIOD_SECONDS, failures=_STARTUP_BUDGET_SECONDS // _STARTUP_PERIOD_SECONDS
        ),
        "readinessProbe": _probe("/ready", 1, failures=3),
        "livenessProbe": _probe("/health", 10, failures=3),
        # Endpoints forget the pod while it still answers; only then does vLLM get its SIGTERM.
        "lifecycle": {"preStop": {"sleep": {"seconds": _FORGOTTEN_SECONDS}}},
        # Why no model could be loaded is said in the log, and only from here does it get into the LoRAModel's condition.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [mount.volume_mount for mount in found],
    }


def _probe(path: str, period_seconds: int, *, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": SERVING_PORT},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _resources(spec: LoRAModelSpec, profile: Profile) -> dict[str, Any]:
    if profile.device is None:
        return spec.resources
    limits = spec.resources.get("limits") or {}
    return spec.resources | {"limits": limits | {profile.device: str(spec.accelerator.count)}}


def _env(spec: LoRAModelSpec, served_name: str, profile: Profile, config: RenderConfig) -> list[dict[str, Any]]:
    values = {
        "HOME": mounts.HOME,
        "TMPDIR": "/tmp",  # noqa: S108  # the pod's own emptyDir
        # A uid without a passwd entry breaks getpass.getuser(), which torch calls.
        "USER": "lora",
        "LOGNAME": "lora",
        "HF_HOME": mounts.HUGGING_FACE,
        "VLLM_CACHE_ROOT": f"{mounts.HOME}/vllm",
        "TORCHINDUCTOR_CACHE_DIR": f"{mounts.HOME}/inductor",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "LORA_MODEL_SOURCE": spec.source.model_dump_json(by_alias=True, exclude_none=True),
        "LORA_SERVED_NAME": served_name,
        "LORA_MAX_RANK": str(spec.adapters.max_rank),
        "LORA_STORE": mounts.STORE,
        "LORA_DESIRED_FILE": mounts.DESIRED_FILE,
        "LORA_VOLUMES_ROOT": mounts.VOLUMES,
        "LORA_CREDENTIALS_ROOT": mounts.CREDENTIALS,
        "LORA_TLS_DIR": mounts.CERTIFICATE,
        "LORA_ADMIN_PORT": str(ADMIN_PORT),
        **({"LORA_API_KEYS_FILE": mounts.API_KEYS_FILE} if spec.api_key is not None else {}),
        **_state_limit(spec),
        **_composition(spec),
        **_mixture(spec),
        **({"VLLM_PLUGINS": ",".join(profile.plugins)} if profile.plugins else {}),
        **profile.env,
    }
    if config.egress != DEFAULT_EGRESS:
        values["LORA_EGRESS"] = config.egress.model_dump_json(by_alias=True)
    return [{"name": name, "value": value} for name, value in values.items()]


def _state_limit(spec: LoRAModelSpec) -> dict[str, str]:
    """How much the pod may keep before the kubelet evicts it, for the runtime to stay below."""
    limit = 0 if spec.cache.size_limit is None else quantity_bytes(spec.cache.size_limit)
    # Zero is no limit to the kubelet either.
    return {"LORA_STATE": mounts.STATE, "LORA_STATE_LIMIT_BYTES": str(limit)} if limit else {}


def _composition(spec: LoRAModelSpec) -> dict[str, str]:
    allowed = spec.adapters.composition
    return {} if allowed is None else {"LORA_COMPOSITION": allowed.model_dump_json(by_alias=True)}


def _mixture(spec: LoRAModelSpec) -> dict[str, str]:
    if spec.mixture is None:
        return {}
    kept = spec.mixture.scalings_kept
    return {"LORA_MIXTURE": "true"} | ({"LORA_SCALINGS_KEPT": str(kept)} if kept else {})


def _check(template: Mapping[str, Any], model: str) -> None:
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    wanted = labels.children(model, "runtime")
    changed = sorted(name for name, value in wanted.items() if (metadata.get("labels") or {}).get(name) != value)
    if changed:
        raise RenderError(
            f"spec.podTemplate.metadata.labels: must not change {', '.join(changed)}, by which the pods are found",
        )
    if CONTAINER not in _names(spec.get("containers")):
        raise RenderError(
            f"spec.podTemplate.spec.containers: must not remove the container {CONTAINER!r}",
        )


def _check_settings(generated: Mapping[str, Any], template: Mapping[str, Any]) -> None:
    """The runtime's own settings hold what the spec says: limits, servers that may be asked, keys of clients."""
    before, after = _settings(generated), _settings(template)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        raise RenderError(
            f"spec.podTemplate.spec.containers: must not set {', '.join(changed)}, which the operator sets from other fields"
        )


def _settings(template: Mapping[str, Any]) -> dict[str, Any]:
    container = next(item for item in template["spec"]["containers"] if item["name"] == CONTAINER)
    return {entry["name"]: entry for entry in container.get("env") or () if entry["name"].startswith("LORA_")}


def _names(items: Iterable[Mapping[str, Any]] | None) -> set[str]:
    return {item["name"] for item in items or ()}
