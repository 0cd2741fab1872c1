"""Rendered children, compared with files a person has read. LORA_UPDATE_GOLDEN=1 writes the files anew."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from lora_api import labels
from lora_api.v1alpha1.engine import AcceleratorType
from lora_api.v1alpha1.model import LoRAModelSpec, LoRAModelStatus
from lora_operator.domain import render
from lora_operator.domain.observed import ObjectMeta, ObservedModel

GOLDEN = Path(__file__).parent / "golden"

SPECS: dict[AcceleratorType, dict[str, Any]] = {
    AcceleratorType.CPU: {
        "source": {"volume": {"name": "models", "path": "smol"}},
        "servedName": "smol",
        "replicas": 2,
        "adapters": {"maxRank": 16, "maxResident": 4, "maxCached": 8},
        "engine": {"maxModelLen": 1024},
        "volumes": [
            {"name": "models", "hostPath": {"path": "/srv/models"}},
            {"name": "shared", "pvc": {"claimName": "s"}},
        ],
        "credentials": [{"secretRef": {"name": "hf-team"}}],
        "cache": {"sizeLimit": "5Gi"},
        "resources": {"requests": {"cpu": "1", "memory": "4Gi"}},
    },
    AcceleratorType.NVIDIA: {
        "source": {"huggingFace": {"repo": "meta-llama/Llama-3.1-70B-Instruct"}},
        "accelerator": {"type": "NVIDIA", "count": 4},
        "engine": {"tensorParallelSize": 4, "dtype": "BFloat16", "extraArgs": ["--gpu-memory-utilization=0.85"]},
        "podTemplate": {
            "spec": {
                "nodeSelector": {"nvidia.com/gpu.product": "H100"},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            }
        },
    },
    AcceleratorType.AMD: {"source": {"huggingFace": {"repo": "a/b"}}, "accelerator": {"type": "AMD"}},
    AcceleratorType.GAUDI: {"source": {"huggingFace": {"repo": "a/b"}}, "accelerator": {"type": "Gaudi", "count": 2}},
    AcceleratorType.QAIC: {"source": {"huggingFace": {"repo": "a/b"}}, "accelerator": {"type": "QAIC", "count": 4}},
    AcceleratorType.TPU: {"source": {"huggingFace": {"repo": "a/b"}}, "accelerator": {"type": "TPU", "count": 8}},
}

CONFIG = render.RenderConfig(
    images={accelerator: f"registry.example/lora-runtime-{accelerator.lower()}:1" for accelerator in AcceleratorType},
    image_pull_policy="IfNotPresent",
    operator_namespace="lora-system",
    operator_pod_labels={"app.kubernetes.io/name": "lora-operator"},
)


def a_model(name: str, spec: dict[str, Any]) -> ObservedModel:
    meta = ObjectMeta(name, "team", "11111111-2222-3333-4444-555555555555", 1, datetime(2026, 1, 1, tzinfo=UTC))
    return ObservedModel(meta, LoRAModelSpec.model_validate(spec), LoRAModelStatus())


@pytest.mark.parametrize("accelerator", AcceleratorType)
def test_the_children_of_a_model_are_as_in_the_golden_file(accelerator: AcceleratorType) -> None:
    _is_golden(accelerator.lower(), render.children(a_model(f"on-{accelerator.lower()}", SPECS[accelerator]), CONFIG))


def _is_golden(name: str, rendered: Iterable[render.Manifest]) -> None:
    text = yaml.safe_dump_all(rendered, sort_keys=False, width=120)
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("LORA_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "run with LORA_UPDATE_GOLDEN=1 and read the difference"


def test_the_deployment_of_a_mixture_is_as_in_the_golden_file() -> None:
    mixture = {"experts": [{"adapterRef": {"name": "pirate"}}], "scalingsKept": 16}
    model = a_model("mixture", {"source": {"huggingFace": {"repo": "a/b"}}, "mixture": mixture})
    rendered = [c for c in render.children(model, CONFIG, mixture_mark="0123abcd-7") if c["kind"] == "Deployment"]
    _is_golden("mixture", rendered)


def test_a_change_of_the_spec_changes_the_hash_of_the_deployment_alone() -> None:
    before = render.children(a_model("m", SPECS[AcceleratorType.AMD]), CONFIG)
    after = render.children(a_model("m", SPECS[AcceleratorType.AMD] | {"replicas": 3}), CONFIG)
    assert [child["kind"] for child, other in zip(before, after, strict=True) if _hash(child) != _hash(other)] == [
        "Deployment"
    ]


def _hash(child: render.Manifest) -> str:
    return str(child["metadata"]["annotations"][labels.TEMPLATE_HASH])
