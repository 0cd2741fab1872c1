"""The CRD's rules about X-LoRA on a real API server: a valid model, one mutation, and what the user is told."""

from typing import Any

import pytest
from kubernetes import client

from lora_api.v1alpha1.engine import FLAGS_AGAINST_A_MIXTURE
from support.custom_resources import MIXTURE, UNSET, Manifest, Objects, mutated

pytestmark = pytest.mark.apiserver

SOURCE = {"huggingFace": {"repo": "team/voices"}}
TRAINED = mutated(MIXTURE, {"spec.mixture": {"source": SOURCE}})
FLAGS = "together with mixture, abbreviated or not"


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(TRAINED, id="a trained one"),
        pytest.param(MIXTURE, id="two adapters"),
        pytest.param(mutated(MIXTURE, {"spec.mixture.classifier": {"depth": 2, "size": 64, "seed": 7}}), id="a head"),
        pytest.param(
            mutated(
                MIXTURE,
                {
                    "spec.mixture.experts.0.weight": -0.5,
                    "spec.mixture.scalingsKept": 16,
                    "spec.mixture.config": {
                        "layerwiseScalings": True,
                        "enableSoftmax": False,
                        "softmaxTemperature": 0.7,
                        "topK": 1,
                        "enableSoftmaxTopk": True,
                        "globalScalingWeight": 1.5,
                        "scalingPassValue": 0.4,
                    },
                },
            ),
            id="every option",
        ),
        pytest.param(mutated(MIXTURE, {"spec.mixture.config": {"topK": 2}}), id="all of them kept"),
        pytest.param(mutated(TRAINED, {"spec.mixture.config": {"topK": 64}}), id="as many kept as the pods will see"),
        pytest.param(
            mutated(MIXTURE, {"spec.engine.extraArgs": ["--seed=1", "--max-num-seqs=4", "--spec-x"]}), id="other flags"
        ),
    ],
)
def test_a_valid_mixture_is_taken(dry: Objects, manifest: Manifest) -> None:
    assert dry.create(manifest, dry_run=True)["spec"]["mixture"]


@pytest.mark.parametrize(
    ("base", "changes", "told"),
    [
        (MIXTURE, {"spec.mixture": {}}, "exactly one of source, experts must be set"),
        (MIXTURE, {"spec.mixture.source": SOURCE}, "exactly one of source, experts must be set"),
        (TRAINED, {"spec.mixture.classifier": {}}, "classifier may only be set together with experts"),
        (TRAINED, {"spec.mixture.config": {"layerwiseScalings": True}}, "a trained classifier has its own"),
        (
            TRAINED,
            {"spec.mixture.source": {"oci": {"reference": "ghcr.io/team/voices"}}},
            "an artifact has no folders for the experts",
        ),
        (TRAINED, {"spec.mixture.source.pollSeconds": 60}, "change the annotation lora-operator.io/refresh"),
        (MIXTURE, {"spec.mixture.experts": []}, "at least 1 items"),
        (MIXTURE, {"spec.mixture.experts.1.adapterRef.name": "pirate"}, "must name each adapter once"),
        (MIXTURE, {"spec.mixture.experts.0.adapterRef": UNSET}, "adapterRef"),
        (MIXTURE, {"spec.mixture.experts.0.weight": 11}, "less than or equal to 10"),
        (MIXTURE, {"spec.mixture.classifier": {"depth": 0}}, "greater than or equal to 1"),
        (MIXTURE, {"spec.mixture.config": {"softmaxTemperature": 0}}, "softmaxTemperature"),
        (MIXTURE, {"spec.mixture.config": {"topK": 0}}, "topK"),
        (MIXTURE, {"spec.mixture.config": {"topK": 3}}, "config.topK must not be greater than the number of experts"),
        (TRAINED, {"spec.mixture.config": {"topK": 65}}, "less than or equal to 64"),
        (MIXTURE, {"spec.mixture.scalingsKept": 1025}, "less than or equal to 1024"),
        (MIXTURE, {"spec.adapters.composition": {}}, "there are no adapters beside it"),
        *((MIXTURE, {"spec.engine.extraArgs": [f"{flag}=2"]}, FLAGS) for flag in FLAGS_AGAINST_A_MIXTURE),
        *(
            (MIXTURE, {"spec.engine.extraArgs": [flag]}, FLAGS)
            for flag in ("--pipeline-par=2", "--quant=fp8", "--speculative_config.method=ngram", "--kv-tr={}")
        ),
    ],
)
def test_an_invalid_mixture_is_refused_with_a_reason(
    dry: Objects, base: Manifest, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(client.ApiException) as refusal:
        dry.create(mutated(base, changes), dry_run=True)

    assert refusal.value.status in (400, 422)
    assert told in str(refusal.value.body)


def test_a_plain_model_may_have_flags_that_a_mixture_may_not(dry: Objects) -> None:
    plain = mutated(MIXTURE, {"spec.mixture": UNSET, "spec.engine.extraArgs": ["--quantization=fp8"]})

    assert dry.create(plain, dry_run=True)
