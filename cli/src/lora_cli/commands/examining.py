"""`validate` and `doctor`: whether an adapter would be served, and whether anything can be."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from lora_api import labels
from lora_api.error_codes import ErrorCode, code_of
from lora_api.runtime_api import ResolveRequest
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_cli import adapter_checks, options, output
from lora_cli.clients import clock
from lora_cli.clients.cluster import ClusterFacts
from lora_cli.clients.disk import path_of
from lora_cli.clients.objects import ADAPTERS, MODELS, Objects
from lora_cli.clients.server import Server
from lora_cli.clients.server_objects import ServerObjects
from lora_cli.domain import changes, health
from lora_cli.domain.health import Finding
from lora_cli.domain.objects import Adapter, Model, adapter_of, is_seen, model_of, scalings_kept
from lora_cli.domain.sources import on_disk, parse_source
from lora_cli.domain.verdicts import CheckedThere, Verdict
from lora_cli.errors import EXIT_STATUS, UNDECIDED, Failed
from lora_cli.session import Session

_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "*.gguf")
_BASE_FILES = ("config.json",)

_RESOLVE_SECONDS = 600.0
_OPERATOR_SECONDS = 4.0
"""In which an operator that is at work has seen an edit."""


def validate(
    target: Annotated[
        str,
        typer.Argument(metavar="PATH|URL", help="A folder or GGUF file here, or a source as `add --from` takes it."),
    ],
    model: options.InModel = None,
    base: Annotated[
        Path | None, typer.Option(help="A copy of the base model's folder, of which config.json is read.", exists=True)
    ] = None,
    output_format: options.Output = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Say whether a model could serve an adapter, before anything is applied, and what could not be checked."""
    model = options.required(model, server)
    session = Session.of(namespace, context, kubeconfig, server=server, api_key=api_key)
    if session.server is not None:
        if base is not None:
            raise typer.BadParameter(
                "a server checks against the base that it serves: leave it out", param_hint="--base"
            )
        _asked_of(session, session.server, target, output_format)
        return
    serving = model_of(session.objects.get(MODELS, model))
    folder = path_of(target)
    source = parse_source(target) if folder is None else None
    if source is not None:
        tried = changes.adapter(None, model, {"source": changes.written(source)})
        Objects(session.kube, dry_run=True).create(ADAPTERS, tried)
        folder = _downloaded(source)
    files = None
    if folder is not None:
        files = adapter_checks.check(folder, base or _base_of(serving), serving.spec.adapters.max_rank)
    verdict = Verdict(target, serving, schema=source is not None, files=files)
    if output_format is not None:
        output.dump(verdict.data(), output_format)
    else:
        output.say(verdict.lines())
    if not verdict.decided:
        raise typer.Exit(UNDECIDED)


def doctor(
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Look for what stands between you and served adapters; ends with the status of the first thing that is wrong."""
    session = Session.of(namespace, context, kubeconfig, server=server, api_key=api_key)
    wrong = None
    for finding in _findings(session) if session.server is None else _findings_at(session, session.server):
        output.say(finding.lines())
        wrong = wrong or finding.code
    if wrong is not None:
        raise typer.Exit(EXIT_STATUS[wrong])


def _asked_of(session: Session, server: Server, target: str, form: options.DataFormat | None) -> None:
    """Has a server find, pin and check it, as if it were to serve it."""
    place = path_of(target)
    if place is not None:
        session.check_here(place)
    source = parse_source(target) if place is None else on_disk(place)
    answer = ServerObjects(server).resolve(ResolveRequest(source=source), _RESOLVE_SECONDS)
    if answer.facts is None:
        reason, why = (answer.refusal.reason, answer.refusal.message) if answer.refusal else (Reason.LOAD_FAILED, "")
        raise Failed(code_of(reason), f"{reason}: {why}")
    found = CheckedThere(target, server.url, answer.facts)
    if form is not None:
        output.dump(found.data(), form)
    else:
        output.say(found.lines())


def _findings_at(session: Session, server: Server) -> Iterator[Finding]:
    state = ServerObjects(server).state()
    yield Finding(f"{server.url} answers, and serves {state.base}")
    if state.file is not None and state.file.problem is not None:
        yield Finding(f"the adapters stay as they were: {state.file.problem}", ErrorCode.INVALID)
    yield from health.of_adapters(map(adapter_of, session.objects.list(ADAPTERS)["items"]), session.place)


def _downloaded(source: AdapterSource) -> Path | None:
    """The adapter's files, if the user can read them as the pods would."""
    if source.hugging_face is None:
        return None
    return adapter_checks.download(source.hugging_face, _ADAPTER_FILES)


def _base_of(model: Model) -> Path | None:
    """The base model's configuration, if the user can read it."""
    hub = model.spec.source.hugging_face
    if hub is None:
        return None
    try:
        return adapter_checks.download(hub, _BASE_FILES)
    except Failed as failed:
        output.note(str(failed))
        return None


def _findings(session: Session) -> Iterator[Finding]:
    cluster = ClusterFacts(session.kube)
    yield Finding(f"API server {cluster.version()} answers; namespace {session.namespace}")
    versions = cluster.group_versions()
    yield health.of_versions(versions, cluster.schemas())
    if labels.VERSION not in versions:
        return
    allowed = cluster.allowed(health.RIGHTS)
    yield from health.of_rights(allowed, session.namespace)
    if not all(may for right, may in allowed.items() if right.verb == "list"):
        return
    models, adapters = _objects(session)
    if _unseen(models, adapters):
        clock.sleep(_OPERATOR_SECONDS)
        models, adapters = _objects(session)
    if kept := [model for model in models if scalings_kept(model)]:
        yield from health.of_rights_for_scalings(cluster.allowed(health.RIGHTS_FOR_SCALINGS), kept, session.namespace)
    yield health.of_operator(cluster.operators(), _unseen(models, adapters), session.namespace)
    yield from health.of_objects(models, adapters, session.namespace)


def _objects(session: Session) -> tuple[tuple[Model, ...], tuple[Adapter, ...]]:
    models = tuple(map(model_of, session.objects.list(MODELS)["items"]))
    return models, tuple(map(adapter_of, session.objects.list(ADAPTERS)["items"]))


def _unseen(models: Iterable[Model], adapters: Iterable[Adapter]) -> list[str]:
    """Names of those whose last edit no operator has looked at."""
    everything: tuple[Model | Adapter, ...] = (*models, *adapters)
    return [observed.meta.name for observed in everything if not is_seen(observed)]
