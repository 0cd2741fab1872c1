"""The kinds of objects that the operator reads and writes."""

from collections.abc import Mapping

from lora_api import labels
from lora_api.v1alpha1.adapter import LoRAAdapter
from lora_api.v1alpha1.model import LoRAModel
from lora_operator.clients.kube import Resource

MODELS = Resource(LoRAModel.kind, LoRAModel.plural, labels.API_VERSION)
ADAPTERS = Resource(LoRAAdapter.kind, LoRAAdapter.plural, labels.API_VERSION)
PODS = Resource("Pod", "pods", "v1")
SECRETS = Resource("Secret", "secrets", "v1")
CONFIG_MAPS = Resource("ConfigMap", "configmaps", "v1")
LEASES = Resource("Lease", "leases", "coordination.k8s.io/v1")
EVENTS = Resource("Event", "events", "events.k8s.io/v1")
DEPLOYMENTS = Resource("Deployment", "deployments", "apps/v1")
SERVICES = Resource("Service", "services", "v1")
NETWORK_POLICIES = Resource("NetworkPolicy", "networkpolicies", "networking.k8s.io/v1")
DISRUPTION_BUDGETS = Resource("PodDisruptionBudget", "poddisruptionbudgets", "policy/v1")

CHILDREN: Mapping[str, Resource] = {
    resource.kind: resource for resource in (SERVICES, NETWORK_POLICIES, DISRUPTION_BUDGETS, DEPLOYMENTS)
}
"""What `render.children` makes, by kind."""
