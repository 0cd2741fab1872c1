"""One pass over one LoRAModel: look, decide, act."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from lora_operator.clients.clock import Clock
from lora_operator.clients.kube import KubeError
from lora_operator.clients.metrics import Metrics, PassOutcome, PassStage
from lora_operator.domain import acceptance, mixtures, plan, render
from lora_operator.domain.actions import Plan
from lora_operator.domain.changes import Pass
from lora_operator.domain.observed import ModelKey, ObjectMeta, ObservedModel, Snapshot
from lora_operator.reconcile.certificates import Certificates
from lora_operator.reconcile.changes import Changes
from lora_operator.reconcile.queue import TryAgain

_CONFLICT_SECONDS = 3.0
"""Other people's objects are not watched, so a name that they hold is tried again after this long."""


@dataclass(frozen=True, slots=True)
class _Rendered:
    model: ObservedModel
    mark: str | None
    children: tuple[render.Manifest, ...]


@dataclass(frozen=True, slots=True)
class ModelPass:
    """Does a pass; answers in how many seconds the next one is due although nothing rings, or None."""

    look: Callable[[ModelKey], Awaitable[Snapshot]]
    """See Look."""
    act: Callable[[ModelKey, ObjectMeta | None, Plan], Awaitable[None]]
    """See Act."""
    certificates: Certificates
    changes: Changes
    clock: Clock
    metrics: Metrics
    policy: acceptance.Policy
    config: render.RenderConfig
    last: dict[ModelKey, Plan] = field(default_factory=dict)
    """The last plan of each model that exists: what it handed over, and what it did not tell yet."""
    rendered: dict[ModelKey, _Rendered] = field(default_factory=dict)
    """The children of each model that exists, as they were rendered last."""

    async def __call__(self, key: ModelKey) -> float | None:
        """One pass.

        Raises:
            TryAgain: the API server or a pod was in the way.
        """
        started = self.clock.steady()
        outcome = PassOutcome.FAILED
        try:
            with self._timed(PassStage.LOOK):
                snapshot = await self.look(key)
            self.metrics.standings.saw(snapshot)
            looked = self.clock.steady()
            with self._timed(PassStage.DECIDE):
                now = self.clock.now()
                decided = self._decide(snapshot, now, looked)
            if snapshot.model is not None or snapshot.adapters:
                self.last[key] = replace(decided, actions=())
            else:
                self.last.pop(key, None)
            with self._timed(PassStage.ACT):
                await self.act(key, snapshot.model.meta if snapshot.model else None, decided)
            self.changes.passed(key, Pass(snapshot, decided, looked, self.clock.steady()))
            outcome = PassOutcome.ACTED if decided.actions else PassOutcome.IDLE
        except KubeError as error:
            raise TryAgain(str(error)) from error
        finally:
            self.metrics.passes.labels(outcome.value).observe((self.clock.steady() - started).total_seconds())
        return self._due_in(snapshot, decided, now)

    @contextmanager
    def _timed(self, stage: PassStage) -> Iterator[None]:
        started = self.clock.steady()
        try:
            yield
        finally:
            self.metrics.stages.labels(stage.value).observe((self.clock.steady() - started).total_seconds())

    def _decide(self, snapshot: Snapshot, now: datetime, steady: datetime) -> Plan:
        model, last = snapshot.model, self.last.get(snapshot.key, Plan(()))
        if model is None:
            self.certificates.forget(snapshot.key)
            self.rendered.pop(snapshot.key, None)
            return plan.make_plan(snapshot, self.policy, now, memo=last.memo, steady=steady)
        certificate = self.certificates.due(snapshot.key, model.meta.uid, now)
        children: tuple[render.Manifest, ...] = ()
        render_error = None
        try:
            mark = mixtures.template_mark(snapshot, mixtures.outcome_of(snapshot, self.policy))
            children = self._children(snapshot.key, model, mark)
        except render.RenderError as error:
            render_error = str(error)
        return plan.make_plan(
            snapshot,
            self.policy,
            now,
            children,
            render_error,
            certificate,
            memo=last.memo,
            untold=last.untold,
            steady=steady,
        )

    def _children(self, key: ModelKey, model: ObservedModel, mark: str | None) -> tuple[render.Manifest, ...]:
        """Rendered anew only where the model was read anew: it takes as long as all other deciding."""
        rendered = self.rendered.get(key)
        if rendered is None or rendered.model is not model or rendered.mark != mark:
            rendered = self.rendered[key] = _Rendered(model, mark, render.children(model, self.config, mark))
        return rendered.children

    def _due_in(self, snapshot: Snapshot, decided: Plan, now: datetime) -> float | None:
        """In how many seconds the next pass is due, after one that decided at the moment `now`."""
        due = []
        if decided.look_again_at is not None:
            due.append((decided.look_again_at - self.clock.steady()).total_seconds())
        certificate = self.certificates.next_at(snapshot.key)
        # What was not due when it was decided may be by now: no event will tell.
        if certificate is not None and certificate > now:
            due.append((certificate - self.clock.now()).total_seconds())
        if snapshot.conflicting:
            due.append(_CONFLICT_SECONDS)
        return max(0.0, min(due)) if due else None
