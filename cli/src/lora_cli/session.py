"""What a command works with: the connection, the objects behind it, and who is talked to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lora_api.error_codes import ErrorCode
from lora_cli.clients import clock
from lora_cli.clients.kube import Kube
from lora_cli.clients.objects import ADAPTERS, MODELS, Objects
from lora_cli.clients.serving import Serving, ThroughTheApiServer
from lora_cli.domain import changes
from lora_cli.domain.objects import Adapter, Json, Model, adapter_of, model_of
from lora_cli.domain.waiting import Progress, Standing, failure, standing
from lora_cli.errors import Failed
from lora_cli.options import DryRun

_LOOK_SECONDS = 0.25
"""A change takes a tenth of a second at best."""


@dataclass(frozen=True, slots=True)
class Session:
    """One command's view of one namespace."""

    kube: Kube
    objects: Objects
    dry_run: bool

    @classmethod
    def of(
        cls, namespace: str | None, context: str | None, kubeconfig: Path | None, dry_run: DryRun = DryRun.NONE
    ) -> Self:
        """Connects.

        Raises:
            Failed: the kubeconfig cannot be used.
        """
        kube = Kube.connect(kubeconfig, context, namespace)
        tried = dry_run is DryRun.SERVER
        return cls(kube, Objects(kube, dry_run=tried), tried)

    @property
    def namespace(self) -> str:
        """Where it works."""
        return self.kube.namespace

    def adapter(self, name: str) -> Adapter:
        """A LoRAAdapter that must exist."""
        return adapter_of(self.objects.get(ADAPTERS, name))

    def adapters_of(self, model: str) -> tuple[Adapter, ...]:
        """The LoRAAdapters of one model."""
        return tuple(map(adapter_of, self.objects.list(ADAPTERS, model=model)["items"]))

    def named(self, name: str) -> Adapter | Model:
        """The LoRAAdapter of this name, or else the LoRAModel.

        Raises:
            Failed: there is neither.
        """
        found = self.objects.find(ADAPTERS, name)
        if found is not None:
            return adapter_of(found)
        model = self.objects.find(MODELS, name)
        if model is not None:
            return model_of(model)
        raise Failed(
            ErrorCode.NOT_FOUND,
            f"there is neither a LoRAAdapter nor a LoRAModel {name} in namespace {self.namespace}",
            then=f"kubectl lora status -n {self.namespace}",
        )

    def serving(self, name: str) -> Serving:
        """Whom to talk to by the name of an object."""
        found = self.named(name)
        model = found.model if isinstance(found, Adapter) else found.meta.name
        return Serving(ThroughTheApiServer(self.kube, model), found.served_name)

    def blend(self, name: str, recipe: Json) -> Json:
        """A blend of adapters of one model, new or changed, as it is stored.

        Args:
            name: Of the blend.
            recipe: The field spec.blend, as `changes.blend` writes it.

        Raises:
            Failed: Conflict, if the name is that of an adapter with files of its own.
        """
        before = self.objects.find(ADAPTERS, name)
        if before is None:
            model = self.adapter(recipe["members"][0]["adapterRef"]["name"]).model
            manifest = changes.adapter(name, model, {"blend": changes.without_nulls(recipe)})
            return self.objects.create(ADAPTERS, manifest)
        if adapter_of(before).spec.blend is None:
            raise Failed(
                ErrorCode.CONFLICT,
                f"{name} is an adapter with files of its own, not a blend; take another name, or remove it first",
                then=f"kubectl lora rm {name} -n {self.namespace}",
            )
        return self.objects.merge(ADAPTERS, name, {"spec": {"blend": recipe}})

    def wait(self, changed: Json, timeout_seconds: float, tell: Callable[[Standing], None]) -> Adapter:
        """The adapter, once every pod serves the generation of `changed`.

        Args:
            changed: The object as the API server answered.
            timeout_seconds: How long to wait.
            tell: Told how it stands, whenever that changes.

        Raises:
            Failed: it is refused, deleted, or not ready in time.
        """
        name, wanted = changed["metadata"]["name"], changed["metadata"]["generation"]
        deadline = clock.monotonic() + timeout_seconds
        adapter, told = adapter_of(changed), None
        while True:
            seen = standing(adapter)
            if seen.progress is Progress.DONE:
                return adapter
            if seen.progress is Progress.REFUSED:
                raise failure(adapter, seen)
            if seen != told:
                tell(seen)
                told = seen
            if clock.monotonic() >= deadline:
                raise failure(adapter, seen, timeout_seconds)
            clock.sleep(_LOOK_SECONDS)
            adapter = self.adapter(name)
            if adapter.meta.generation > wanted:
                raise Failed(
                    ErrorCode.CONFLICT,
                    f"somebody else has changed {name} meanwhile",
                    then=f"kubectl lora describe {name}",
                )
