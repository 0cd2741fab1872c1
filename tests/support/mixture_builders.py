"""Builders of mixtures as the operator sees them: each argument that a test leaves out is the ordinary case."""

from typing import Any

from lora_api.mixture_api import MixtureReport, MixtureSpec, MixtureState
from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_operator.domain import acceptance, facts, mixtures
from lora_operator.domain.observed import ObservedExpert, ObservedModel, ObservedPod, Snapshot
from support.builders import a_model, a_pod, a_snapshot, an_adapter, an_inventory, some_facts

POLICY = acceptance.Policy()
BASE = "plain"
"""The plain LoRAModel whose adapters are the experts."""


def a_mixture(*names: str, replicas: int = 1, status: Any = None, **mixture: Any) -> ObservedModel:
    """A LoRAModel `smol` that mixes these adapters; `mixture` are further fields of spec.mixture, in camelCase."""
    listed = [{"adapterRef": {"name": name}} for name in names or ("pirate", "formal")]
    spec = {"experts": listed} | mixture
    return a_model(replicas=replicas, status=status, mixture=spec)


def a_trained_mixture(*, status: Any = None, **source: Any) -> ObservedModel:
    """A LoRAModel `smol` that is an X-LoRA from the hub."""
    place = source or {"huggingFace": {"repo": "team/voices"}}
    return a_model(status=status, mixture={"source": place})


def an_expert(
    name: str = "pirate", *, content: str | None = None, model: ObservedModel | None = None, **adapter: Any
) -> ObservedExpert:
    """An adapter of the plain model whose files are known; `content` decides their digest."""
    found = an_adapter(name, modelRef={"name": BASE}, **adapter)
    known = some_facts(content or name)
    status = LoRAAdapterStatus(
        source_hash=facts.source_hash(found),
        resolved_source=known.source,
        digest=known.digest,
        rank=known.rank,
        size_bytes=known.size_bytes,
    )
    found = an_adapter(name, modelRef={"name": BASE}, status=status, **adapter)
    return ObservedExpert(found, model or a_model(BASE))


def a_look(model: ObservedModel, *experts: ObservedExpert, **rest: Any) -> Snapshot:
    """A look at a model and at the experts that it names."""
    return a_snapshot(model=model, experts={expert.adapter.name: expert for expert in experts}, **rest)


def the_mixture(snapshot: Snapshot) -> MixtureSpec:
    """The mixture that the model comes to, which must be one."""
    found = mixtures.outcome_of(snapshot, POLICY)
    assert isinstance(found, MixtureSpec), found
    return found


def a_mixing_pod(
    name: str = "smol-a",
    *,
    wanted: MixtureSpec,
    state: MixtureState = MixtureState.SERVING,
    serving: str | None = None,
    document: Any = None,
    ready: bool = True,
    mark: str | None = None,
    **report: Any,
) -> ObservedPod:
    """A pod that says how far it is with a mixture; one that is Serving serves that one, unless said otherwise."""
    served = wanted.revision if state is MixtureState.SERVING and serving is None else serving
    said = MixtureReport(revision=wanted.revision, state=state, serving=served, **report)
    pod = a_pod(name, ready=ready, inventory=an_inventory(document=document, mixture=said))
    return ObservedPod(pod.name, pod.ip, pod.ready, pod.terminating, pod.created, pod.inventory, mixture_mark=mark)
