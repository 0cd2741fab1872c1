"""Builds the operator and runs it: the only place that knows everybody."""

import asyncio
import gc
import logging
import os
import uuid

import kopf

from lora_operator import bootstrap
from lora_operator.clients import resources
from lora_operator.clients.clock import Clock, SystemClock, elapsed, jitter
from lora_operator.clients.events import Events
from lora_operator.clients.identity import Identity
from lora_operator.clients.kube import Kube
from lora_operator.clients.leases import Leases
from lora_operator.clients.metrics import Metrics
from lora_operator.clients.runtime_admin import RuntimeAdmin
from lora_operator.clients.tracing import Traces
from lora_operator.config import Config
from lora_operator.domain import acceptance, render
from lora_operator.domain.leadership import Terms
from lora_operator.domain.observed import ModelKey
from lora_operator.handlers import doorbells, lifecycle, probes
from lora_operator.reconcile.act import Act
from lora_operator.reconcile.adapters import Adapters
from lora_operator.reconcile.applied import Applied
from lora_operator.reconcile.certificates import Certificates
from lora_operator.reconcile.changes import Changes
from lora_operator.reconcile.child_watch import ChildWatch
from lora_operator.reconcile.doorbell import Doorbell
from lora_operator.reconcile.experts import Experts
from lora_operator.reconcile.freshness import Freshness
from lora_operator.reconcile.inventories import Inventories
from lora_operator.reconcile.lately import Lately
from lora_operator.reconcile.leader import Leader, LeadershipLost
from lora_operator.reconcile.look import Look
from lora_operator.reconcile.model_pass import ModelPass
from lora_operator.reconcile.pushes import Pushes
from lora_operator.reconcile.queue import Backoff, KeyedQueue
from lora_operator.reconcile.resolutions import Resolutions
from lora_operator.reconcile.sweep import sweep_for_ever

_logger = logging.getLogger(__name__)

_PASS_BACKOFF = Backoff(first_seconds=0.5, longest_seconds=60, jitter=jitter)
_POLL_BACKOFF = Backoff(first_seconds=0.2, longest_seconds=2, jitter=jitter)
"""A pod that comes back is to be seen at once, and a refused connection costs next to nothing."""


async def run(config: Config, clock: Clock | None = None) -> None:
    """Runs until SIGTERM.

    Raises:
        NotReady: something that the operator needs is not there yet.
        KubeError: the API server cannot be reached.
        LeadershipLost: another operator is at work.
    """
    clock = clock or SystemClock()
    metrics = Metrics()
    async with await Kube.connect(metrics.asked) as kube:
        await bootstrap.require_crds(kube, config.watch_namespaces)
        authority = await bootstrap.authority(kube, config.namespace, config.ca_dir, clock)
        identity = Identity(authority, config.certificate_lifetime, clock)
        certificates = Certificates(authority, config.certificate_lifetime, config.certificate_check)
        container = f"{config.pod_name}_{config.pod_uid}_" if config.pod_uid else ""
        name = f"{container or config.pod_name + '_'}{uuid.uuid4()}"
        leader = Leader(Leases(kube, config.namespace, config.lease), name, clock, elapsed, Terms(), container)
        writer = kube.writing_while(leader.seconds_to_write)
        async with RuntimeAdmin(identity.context, leader.seconds_to_write) as admin:
            try:
                await _run(config, writer, admin, identity, certificates, clock, metrics, leader)
            except ExceptionGroup as failures:
                # All tasks ended with the one that found out.
                raise _cause(failures) from failures
            finally:
                await leader.resign()


async def _run(
    config: Config,
    kube: Kube,
    admin: RuntimeAdmin,
    identity: Identity,
    certificates: Certificates,
    clock: Clock,
    metrics: Metrics,
    leader: Leader,
) -> None:
    queue: KeyedQueue[ModelKey] = KeyedQueue(_PASS_BACKOFF)
    metrics.serve(config.metrics_port)
    traces = Traces.from_environment(os.environ)
    async with asyncio.TaskGroup() as group:
        lately = Lately()
        inventories = Inventories(
            admin, _POLL_BACKOFF, group.create_task, queue.ring, lambda key: lately.doubt(key, resources.PODS.kind)
        )
        pushes = Pushes(admin, inventories, group.create_task, queue.ring)
        resolutions = Resolutions(admin, clock, group.create_task, queue.ring)
        applied, freshness = Applied(), Freshness()
        adapters, experts = Adapters(kube, freshness), Experts(kube, lately)
        changes = Changes(clock, [metrics.arrived, *([traces.arrived] if traces else [])])
        events = Events(kube, clock, config.pod_name)
        one_pass = ModelPass(
            look=Look(kube, inventories, resolutions, applied, freshness, adapters, changes, lately, experts),
            act=Act(kube, events, certificates, clock, pushes, resolutions, applied, lately, adapters, metrics),
            certificates=certificates,
            changes=changes,
            clock=clock,
            metrics=metrics,
            policy=acceptance.Policy(config.allow_host_path, config.egress, config.allow_host_access),
            config=_render_config(config),
        )
        metrics.leader.set_function(lambda: leader.leads)
        metrics.waiting.set_function(lambda: queue.waiting)
        metrics.oldest_wait.set_function(lambda: queue.oldest_wait_seconds)

        def look_anew(key: ModelKey) -> None:
            lately.doubt(key)
            applied.doubt(key)
            queue.ring(key)

        async def work() -> None:
            await leader.win()
            async with asyncio.TaskGroup() as duties:
                duties.create_task(leader.hold())
                duties.create_task(queue.run(one_pass, config.workers))
                duties.create_task(events.post_for_ever())
                duties.create_task(sweep_for_ever(kube, config.watch_namespaces, adapters, look_anew))
                duties.create_task(
                    ChildWatch(kube, applied, lately, queue.ring, adapters.in_doubt.set).run(config.watch_namespaces)
                )

        background = group.create_task(work()), group.create_task(identity.renew_for_ever())

        def stop() -> None:
            for task in background:
                task.cancel()
            inventories.close()
            pushes.close()
            resolutions.close()

        # What was imported stays: to look through it takes the collector more time than a pass.
        gc.freeze()
        _logger.info("watching %s", ", ".join(config.watch_namespaces) or "all namespaces")
        bell = Doorbell(queue, freshness, lately, adapters, experts, changes, lambda: leader.leads)
        await _kopf(config, kube, bell, stop)
        stop()
        if traces is not None:
            await asyncio.to_thread(traces.close)
        _logger.info("stopped")


def _cause(failures: ExceptionGroup[Exception]) -> Exception:
    cause: Exception = failures.subgroup(LeadershipLost) or failures
    while isinstance(cause, ExceptionGroup):
        cause = cause.exceptions[0]
    return cause


async def _kopf(config: Config, kube: Kube, bell: Doorbell, stop: lifecycle.Stop) -> None:
    """Runs the doorbells until SIGTERM."""

    async def log_in() -> kopf.ConnectionInfo:
        found = await kube.connection()
        return kopf.ConnectionInfo(
            server=found.server,
            ca_path=found.ca_path,
            insecure=found.insecure,
            scheme="Bearer" if found.token else None,
            token=found.token,
            certificate_path=found.certificate_path,
            private_key_path=found.key_path,
        )

    registry = kopf.OperatorRegistry()
    doorbells.register(registry, bell)
    probes.register(registry, bell)
    lifecycle.register(registry, log_in, stop)
    await kopf.operator(
        registry=registry,
        settings=lifecycle.settings(),
        clusterwide=not config.watch_namespaces,
        namespaces=config.watch_namespaces,
        liveness_endpoint=f"http://0.0.0.0:{config.health_port}/healthz",
    )


def _render_config(config: Config) -> render.RenderConfig:
    return render.RenderConfig(
        images=config.images,
        image_pull_policy=config.image_pull_policy,
        operator_namespace=config.namespace,
        operator_pod_labels=config.pod_labels,
        egress=config.egress,
    )
