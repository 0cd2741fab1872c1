"""One pass over one LoRAModel: look, decide, act."""

from dataclasses import dataclass
from datetime import datetime

from lora_operator.clients.clock import Clock
from lora_operator.clients.kube import KubeError
from lora_operator.clients.metrics import Metrics
from lora_operator.domain import acceptance, plan, render
from lora_operator.domain.actions import Plan
from lora_operator.domain.changes import Pass
from lora_operator.domain.observed import ModelKey, Snapshot
from lora_operator.reconcile.act import Act
from lora_operator.reconcile.applied import Applied
from lora_operator.reconcile.changes import Changes
from lora_operator.reconcile.look import Look
from lora_operator.reconcile.queue import TryAgain

_CONFLICT_SECONDS = 3.0
"""Other people's objects are not watched, so a name that they hold is tried again after this long."""


@dataclass(frozen=True, slots=True)
class ModelPass:
    """Does a pass; answers in how many seconds the next one is due although nothing rings, or None."""

    look: Look
    act: Act
    applied: Applied
    changes: Changes
    clock: Clock
    metrics: Metrics
    policy: acceptance.Policy
    config: render.RenderConfig

    async def __call__(self, key: ModelKey) -> float | None:
        """One pass.

        Raises:
            TryAgain: the API server or a pod was in the way.
        """
        started = self.clock.steady()
        outcome = "failed"
        try:
            snapshot = await self.look(key)
            looked = self.clock.steady()
            decided = self._decide(snapshot, self.clock.now(), looked)
            await self.act(key, snapshot.model.meta if snapshot.model else None, decided)
            self.changes.passed(key, Pass(snapshot, decided, looked, self.clock.steady()))
            outcome = "acted" if decided.actions else "nothing to do"
        except KubeError as error:
            raise TryAgain(str(error)) from error
        finally:
            self.metrics.passes.labels(outcome).observe((self.clock.steady() - started).total_seconds())
        return self._due_in(snapshot, decided)

    def _decide(self, snapshot: Snapshot, now: datetime, steady: datetime) -> Plan:
        model = snapshot.model
        if model is None:
            return plan.make_plan(snapshot, self.policy, now, steady=steady)
        secret = render.certificate_secret(model.meta.name, self.config)
        exists = self.applied.has_secret(snapshot.key, model.meta.uid, secret)
        children: tuple[render.Manifest, ...] = ()
        render_error = None
        try:
            children = render.children(model, self.config)
        except render.RenderError as error:
            render_error = str(error)
        missing = None if exists else secret
        return plan.make_plan(snapshot, self.policy, now, children, render_error, missing, steady=steady)

    def _due_in(self, snapshot: Snapshot, decided: Plan) -> float | None:
        due = []
        if decided.look_again_at is not None:
            due.append((decided.look_again_at - self.clock.steady()).total_seconds())
        if snapshot.conflicting:
            due.append(_CONFLICT_SECONDS)
        return max(0.0, min(due)) if due else None
