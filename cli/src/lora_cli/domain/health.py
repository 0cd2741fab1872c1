"""What stands between a user and served adapters: findings, each with what to do about it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lora_api import labels
from lora_api.error_codes import ErrorCode, code_of
from lora_api.v1alpha1.adapter import LoRAAdapter
from lora_api.v1alpha1.model import LoRAModel, ReachableFrom
from lora_cli.domain.diagnosis import Line, Tone
from lora_cli.domain.objects import Adapter, Json, Model
from lora_cli.domain.places import CLUSTER, Place
from lora_cli.domain.subject import Subject
from lora_cli.domain.waiting import Progress, Standing, standing


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    code: ErrorCode | None = None
    """What is wrong; None when all is well, or when it is only worth knowing."""
    then: str = ""
    notable: bool = False
    """Not wrong, but perhaps not what was meant, or not known."""

    def lines(self) -> Iterator[Line]:
        """It in words."""
        tone = Tone.BAD if self.code is not None else Tone.WAITING if self.notable else Tone.GOOD
        yield Line(self.what, tone)
        if self.then:
            yield Line(self.then, Tone.COMMAND)


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a resource, and the commands that need it."""

    verb: str
    group: str
    resource: str
    subresource: str
    needed_for: str

    @property
    def words(self) -> str:
        """As `kubectl auth can-i` takes them."""
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource}/{self.subresource}" if self.subresource else f"{self.verb} {resource}"

    @property
    def changes(self) -> bool:
        """Whether adapters are another thing once it was used."""
        return self.resource == LoRAAdapter.plural and self.verb in ("create", "patch", "delete")


_KINDS = (LoRAModel.plural, LoRAAdapter.plural)
_LOOKING = "status, describe, memory, history"

RIGHTS = (
    *(Right(verb, labels.GROUP, kind, "", _LOOKING) for kind in _KINDS for verb in ("get", "list")),
    *(Right("watch", labels.GROUP, kind, "", "status --watch") for kind in _KINDS),
    Right("create", labels.GROUP, LoRAAdapter.plural, "", "add, blend"),
    Right("patch", labels.GROUP, LoRAAdapter.plural, "", "scale, blend, rollback"),
    Right("delete", labels.GROUP, LoRAAdapter.plural, "", "rm, clear"),
    Right("create", "", "services", "proxy", "chat, compare"),
)
RIGHTS_FOR_SCALINGS = (Right("list", "", "pods", "", "scalings"), Right("get", "", "pods", "proxy", "scalings"))
"""They reach every port of every pod, so that few should have them."""


def of_versions(served: Iterable[str], openapi: Mapping[str, object] | None) -> Finding:
    """Whether the CRDs are there, and as new as this command.

    Args:
        served: Versions of the group that the API server serves.
        openapi: Schemas of this version by kind; None when they cannot be read.
    """
    known = sorted(served)
    if labels.VERSION not in known:
        there = f"serves {', '.join(known)} of it" if known else "does not know it"
        return Finding(
            f"{labels.GROUP}/{labels.VERSION}: the API server {there}; the CRDs are not installed, or of another version",
            ErrorCode.NOT_FOUND,
            "helm install lora-operator helm/lora-operator -n lora-operator --create-namespace",
        )
    if openapi is not None and not _keeps_history(openapi):
        return Finding(
            f"the CRDs of {labels.GROUP}/{labels.VERSION} are older than this command: rollback will not know what "
            "revisions were made of",
            then="kubectl apply --server-side -f crds/",
            notable=True,
        )
    return Finding(f"the CRDs of {labels.GROUP}/{labels.VERSION} are installed")


def of_rights(allowed: Mapping[Right, bool], namespace: str) -> Iterator[Finding]:
    """What the user may do."""
    missing = [right for right, may in allowed.items() if not may]
    if not missing:
        yield Finding(f"you may do all that the commands need in namespace {namespace}")
    for right in missing:
        yield Finding(
            f"you may not {right.words} in namespace {namespace}: needed for {right.needed_for}",
            ErrorCode.FORBIDDEN,
            f"kubectl auth can-i {right.words} -n {namespace}",
        )


def of_rights_for_scalings(allowed: Mapping[Right, bool], models: Iterable[Model], namespace: str) -> Iterator[Finding]:
    """What the user may not do of what `scalings` needs: worth knowing where pods keep any, and not wrong.

    Args:
        allowed: Of RIGHTS_FOR_SCALINGS.
        models: Whose pods keep scalings.
        namespace: Where they are.
    """
    names = ", ".join(model.meta.name for model in models)
    for right, may in allowed.items():
        if not may:
            yield Finding(
                f"you may not {right.words} in namespace {namespace}: needed for {right.needed_for} of {names}",
                then=f"kubectl auth can-i {right.words} -n {namespace}",
                notable=True,
            )


def of_operator(deployments: Sequence[Json] | None, unseen: Sequence[str], namespace: str) -> Finding:
    """Whether an operator is at work.

    Args:
        deployments: Those with the operator's label; None if the user may not look for them.
        unseen: Names of objects whose last edit was not looked at for some seconds.
        namespace: Where the objects are.
    """
    if unseen:
        return Finding(
            f"no operator has looked at the last edits of {', '.join(unseen)}: none runs, or none watches {namespace}",
            ErrorCode.UNREACHABLE,
            "kubectl get pods -A -l app.kubernetes.io/name=lora-operator",
        )
    if deployments is None:
        return Finding("every edit was seen by an operator; you may not look at its Deployment itself", notable=True)
    for found in deployments:
        meta, ready = found["metadata"], found.get("status", {}).get("readyReplicas", 0)
        version = meta.get("labels", {}).get("app.kubernetes.io/version", "unknown")
        if ready:
            return Finding(f"operator {version} runs in namespace {meta['namespace']}")
        return Finding(
            f"the operator in namespace {meta['namespace']} has no ready pod",
            ErrorCode.UNREACHABLE,
            f"kubectl describe pods -n {meta['namespace']} -l app.kubernetes.io/name=lora-operator",
        )
    return Finding(
        "there is no Deployment of an operator, but every edit was seen: it runs somewhere else", notable=True
    )


def of_objects(models: Sequence[Model], adapters: Sequence[Adapter], namespace: str) -> Iterator[Finding]:
    """What is wrong with models and adapters, and what is often not meant."""
    if not models:
        yield Finding(
            f"there is no LoRAModel in namespace {namespace}; is it the right one?",
            then="kubectl get loramodels -A",
            notable=True,
        )
    everything: tuple[Adapter | Model, ...] = (*models, *adapters)
    yield from (_unready(observed, seen, CLUSTER) for observed, seen in _unready_ones(everything))
    if models and all(standing(observed).progress is Progress.DONE for observed in everything):
        yield Finding(f"{len(models)} models and {len(adapters)} adapters are ready")
    for adapter in adapters:
        if adapter.spec.weight == 0:
            yield Finding(
                f"{adapter.meta.name} has the weight 0, so it answers as the base model does",
                then=f"kubectl lora scale {adapter.meta.name} 1 -n {namespace}",
                notable=True,
            )
    for model in models:
        yield from _of_model(model, sum(adapter.model == model.meta.name for adapter in adapters))


def of_adapters(adapters: Iterable[Adapter], place: Place) -> Iterator[Finding]:
    """Those that are not ready, or that all are."""
    found = tuple(adapters)
    unready = [_unready(observed, seen, place) for observed, seen in _unready_ones(found)]
    yield from unready or [Finding(f"{len(found)} adapters are ready")]


def _unready_ones(everything: Iterable[Adapter | Model]) -> Iterator[tuple[Adapter | Model, Standing]]:
    """Those that an operator has looked at; whether it has is a finding of its own."""
    for observed in everything:
        seen = standing(observed)
        if seen.progress in (Progress.UNDER_WAY, Progress.REFUSED):
            yield observed, seen


def _unready(observed: Adapter | Model, seen: Standing, place: Place) -> Finding:
    refused = seen.progress is Progress.REFUSED
    return Finding(
        f"{observed.meta.name} is not ready: {seen.reason}: {seen.message}",
        code_of(seen.reason) if refused else None,
        place.advice(seen.reason, Subject.of(observed, seen.message))[1],
        notable=not refused,
    )


def _of_model(model: Model, adapters: int) -> Iterator[Finding]:
    name, limits = model.meta.name, model.spec.adapters
    if adapters > limits.max_cached:
        yield Finding(
            f"{name} has {adapters} adapters, of which {limits.max_cached} are held in memory (spec.adapters.maxCached): "
            "the first request for another one waits for the disk",
            notable=True,
        )
    if model.spec.api_key is not None:
        yield Finding(
            f"{name} wants an API key: chat and compare read its Secret {model.spec.api_key.secret_ref.name} if you may, "
            f"and else take one by --api-key or LORA_API_KEY",
            notable=True,
        )
    if model.spec.reachable_from is ReachableFrom.NOWHERE:
        yield Finding(
            f"{name} is reachable from {ReachableFrom.NOWHERE}: where the network enforces it, chat and compare do not get through",
            notable=True,
        )


def _keeps_history(schemas: Mapping[str, object]) -> bool:
    """Whether an entry of the history has a source, which came last."""
    found: object = schemas.get(LoRAAdapter.kind)
    for step in ("properties", "status", "properties", "history", "items", "properties", "source"):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found is not None
