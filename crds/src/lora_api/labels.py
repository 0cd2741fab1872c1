"""Every label, annotation and field-manager name the project writes."""

GROUP = "lora-operator.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

MANAGED_BY = "lora-operator"
"""Value of `app.kubernetes.io/managed-by` on every child; Pods are watched by it."""

FIELD_MANAGER = "lora-operator"
"""Field manager for the children the operator applies."""

STATUS_FIELD_MANAGER = "lora-operator-status"
"""Field manager for the status of LoRAModels and LoRAAdapters."""

NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
PART_OF = "app.kubernetes.io/part-of"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"

MODEL = f"{GROUP}/model"
"""On every child: the name of the LoRAModel it belongs to."""

TEMPLATE_HASH = f"{GROUP}/template-hash"
"""On Deployment, Service, NetworkPolicy and PodDisruptionBudget: hash of what was last applied.

So an unchanged child costs no API write.
"""

MIXTURE = f"{GROUP}/mixture"
"""On the pod template of a mixture: for which one, and which document, the pods were last replaced."""

REFRESH = f"{GROUP}/refresh"
"""By the user: change the value to have the source resolved again (a moved branch, new files).

On a LoRAAdapter, or on a LoRAModel for the source of its mixture.
"""


def selector(model: str) -> dict[str, str]:
    """The immutable labels that select the pods of one LoRAModel."""
    return {NAME: "lora-runtime", INSTANCE: model, MODEL: model}


def children(model: str, component: str) -> dict[str, str]:
    """The labels of a child object of one LoRAModel."""
    return selector(model) | {COMPONENT: component, PART_OF: "lora-operator", MANAGED_BY_LABEL: MANAGED_BY}
