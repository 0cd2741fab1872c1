"""What spec.mixture comes to: the X-LoRA that every pod should serve, or why there is none; and when pods must go for it."""

import hashlib
import json

from lora_api import labels
from lora_api.mixture_api import MixtureExpert, MixtureSpec, MixtureState, UntrainedClassifier
from lora_api.recipes.outcome import Blocked, Rejected
from lora_api.runtime_api import AdapterFacts, Desired
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_api.v1alpha1.mixture import Mixture, MixtureClassifier, MixtureExpertRef
from lora_operator.domain import acceptance, conditions, facts
from lora_operator.domain.acceptance import Policy
from lora_operator.domain.observed import ObservedExpert, ObservedModel, Snapshot, Unreachable

Outcome = Rejected | Blocked | MixtureSpec


def outcome_of(snapshot: Snapshot, policy: Policy) -> Outcome | None:
    """The mixture that the model asks for; None when it asks for none."""
    model = snapshot.model
    mixture = None if model is None else model.spec.mixture
    if model is None or mixture is None:
        return None
    if mixture.source is not None:
        return _trained(mixture, mixture.source, model, policy)
    return _of_adapters(mixture, model, snapshot, policy)


def in_document(outcome: Outcome | None, previous: Desired | None) -> MixtureSpec | None:
    """What the document is to say: the mixture, and while there is none, the one that is served."""
    if outcome is None or isinstance(outcome, MixtureSpec):
        return outcome
    return None if previous is None else previous.mixture


def source_hash(model: ObservedModel) -> str:
    """Names the question `which files are at spec.mixture.source?`: 16 hex digits of it and the refresh annotation."""
    source = None if model.spec.mixture is None else model.spec.mixture.source
    place = source and source.place.model_dump(mode="json", by_alias=True, exclude_none=True)
    question = [place, model.meta.annotations.get(labels.REFRESH)]
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:16]


def template_mark(snapshot: Snapshot, outcome: Outcome | None) -> str | None:
    """What the pod template should say in the annotation `labels.MIXTURE`: another value replaces the pods.

    Only pods that say that they cannot take the wanted mixture as they run are replaced, and each document does so
    once: a pod that would say it again of what it was started with must not be replaced for ever.
    """
    if outcome is None or snapshot.deployment is None:
        return None
    current, document = snapshot.deployment.mixture_mark, snapshot.desired
    if not isinstance(outcome, MixtureSpec) or document is None:
        return current
    for pod in snapshot.pods:
        # One that was made from an earlier template is being replaced already.
        if pod.terminating or pod.mixture_mark != current or isinstance(pod.inventory, Unreachable):
            continue
        report = pod.inventory.mixture
        if (
            report is not None
            and report.state is MixtureState.NEEDS_RESTART
            and report.revision == outcome.revision
            and pod.inventory.desired_etag == document.etag
        ):
            return f"{outcome.revision}-{document.sequence}"
    return current


def _trained(mixture: Mixture, source: AdapterSource, model: ObservedModel, policy: Policy) -> Outcome:
    barred = acceptance.source_rejection(source, model, policy)
    if barred is not None:
        return Rejected(barred.reason, f"spec.mixture.source: {barred.message}")
    known, asked = model.status.mixture, source_hash(model)
    if known is not None and known.source_hash == asked and known.resolved_source is not None:
        return MixtureSpec.of(source=known.resolved_source, digest=known.digest, config=mixture.config)
    return MixtureSpec.of(source=source, config=mixture.config, asked=asked)


def _of_adapters(mixture: Mixture, model: ObservedModel, snapshot: Snapshot, policy: Policy) -> Outcome:
    listed = mixture.experts or ()
    missing = [ref.adapter_ref.name for ref in listed if ref.adapter_ref.name not in snapshot.experts]
    if missing:
        return Rejected(
            Reason.MEMBER_NOT_FOUND,
            f"there is no LoRAAdapter {', '.join(missing)} in namespace {model.meta.namespace}; create it for a plain "
            "LoRAModel of the same base model, or take it out of spec.mixture.experts",
        )
    found = [_expert(ref, snapshot.experts[ref.adapter_ref.name], model, policy) for ref in listed]
    for kind in (Rejected, Blocked):
        # What has to be edited is said before what has to be waited for.
        first = next((one for one in found if isinstance(one, kind)), None)
        if first is not None:
            return first
    head = mixture.classifier or MixtureClassifier()
    return MixtureSpec.of(
        experts=tuple(one for one in found if isinstance(one, MixtureExpert)),
        classifier=UntrainedClassifier(depth=head.depth, size=head.size, seed=head.seed),
        config=mixture.config,
    )


def _expert(
    ref: MixtureExpertRef, found: ObservedExpert, model: ObservedModel, policy: Policy
) -> MixtureExpert | Rejected | Blocked:
    adapter, its_model, name = found.adapter, found.model, ref.adapter_ref.name
    if adapter.spec.blend is not None:
        return Rejected(
            Reason.UNSUPPORTED_FEATURE,
            f"the expert {name} is a blend, which no checkpoint has as an expert; name its members instead",
        )
    if its_model is None:
        return _not_ready(name, f"its LoRAModel {adapter.spec.model_ref.name} does not exist")
    if its_model.spec.mixture is not None:
        return Rejected(
            Reason.MODEL_IS_MIXTURE,
            f"the expert {name} is of LoRAModel {its_model.meta.name}, which is an X-LoRA itself; "
            "create the LoRAAdapter for a plain LoRAModel of the same base model",
        )
    if its_model.spec.source != model.spec.source:
        return Rejected(
            Reason.BASE_MODEL_MISMATCH,
            f"the expert {name} is of LoRAModel {its_model.meta.name}, whose base model is "
            f"{its_model.spec.source.describe()}, and not {model.spec.source.describe()}",
        )
    known = facts.remembered(adapter)
    if known is None:
        return _not_ready(name, _in_the_way(found))
    barred = acceptance.source_rejection(known.source, model, policy)
    if barred is not None:
        return Rejected(barred.reason, f"the expert {name}: {barred.message}")
    return _pinned(ref, found, known)


def _pinned(ref: MixtureExpertRef, found: ObservedExpert, known: AdapterFacts) -> MixtureExpert:
    # A double's last digits would be another revision.
    weight = round(ref.weight * found.adapter.spec.weight, 12)
    return MixtureExpert(name=found.adapter.name, source=known.source.place, digest=known.digest, weight=weight)


def _in_the_way(found: ObservedExpert) -> str:
    ready = conditions.find(found.adapter.status.conditions, AdapterCondition.READY)
    if ready is None or ready.status == "True" or ready.observed_generation < found.adapter.meta.generation:
        return "its files are not known yet"
    return f"{ready.reason}: {ready.message}"


def _not_ready(name: str, why: str) -> Blocked:
    message = f"the expert {name} is not ready: {why}"
    return Blocked(AdapterCondition.FETCHED, Reason.MEMBER_NOT_READY, message, waiting=True)
