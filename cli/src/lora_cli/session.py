"""What a command works with: the connection, the objects behind it, and who is talked to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lora_api.error_codes import ErrorCode
from lora_cli.clients import clock
from lora_cli.clients.kube import Kube
from lora_cli.clients.object_store import ObjectStore
from lora_cli.clients.objects import ADAPTERS, MODELS, Objects
from lora_cli.clients.server import Server
from lora_cli.clients.server_objects import ServerObjects
from lora_cli.clients.serving import Serving, ThroughTheApiServer
from lora_cli.domain import changes
from lora_cli.domain.objects import Adapter, Json, Model, adapter_of, model_of, scalings_kept
from lora_cli.domain.places import CLUSTER, AtAServer, Place
from lora_cli.domain.waiting import Progress, Standing, failure, standing
from lora_cli.errors import Failed
from lora_cli.options import DryRun

_LOOK_SECONDS = 0.25
"""A change takes a tenth of a second at best."""


@dataclass(frozen=True, slots=True)
class Session:
    """One command's view of one namespace, or of one server without a cluster."""

    home: Kube | Server
    objects: ObjectStore
    dry_run: bool
    api_key: str | None = None
    """What to show who serves; None to find it out if one is wanted."""

    @classmethod
    def of(
        cls,
        namespace: str | None,
        context: str | None,
        kubeconfig: Path | None,
        dry_run: DryRun = DryRun.NONE,
        server: str | None = None,
        api_key: str | None = None,
    ) -> Self:
        """Connects.

        Raises:
            Failed: the kubeconfig or the URL cannot be used.
        """
        tried = dry_run is DryRun.SERVER
        if server is not None:
            if any(word is not None for word in (namespace, context, kubeconfig)):
                raise Failed(
                    ErrorCode.INVALID,
                    f"{server} is a server without a cluster: leave out --namespace, --context and --kubeconfig, or --server "
                    f"and LORA_SERVER",
                )
            found = Server(server, api_key)
            return cls(found, ServerObjects(found, dry_run=tried), tried, api_key)
        kube = Kube.connect(kubeconfig, context, namespace)
        return cls(kube, Objects(kube, dry_run=tried), tried, api_key)

    @property
    def kube(self) -> Kube:
        """The cluster.

        Raises:
            Failed: there is none.
        """
        if isinstance(self.home, Kube):
            return self.home
        raise Failed(ErrorCode.INVALID, f"this needs a cluster, and {self.home.url} is a server without one")

    @property
    def server(self) -> Server | None:
        """The server without a cluster, if it is one."""
        return self.home if isinstance(self.home, Server) else None

    @property
    def namespace(self) -> str:
        """Where it works; empty for a server."""
        return self.home.namespace if isinstance(self.home, Kube) else ""

    @property
    def place(self) -> Place:
        """What is to be typed here."""
        return CLUSTER if isinstance(self.home, Kube) else AtAServer(self.home.url)

    @property
    def where(self) -> str:
        """It in words."""
        return f"in namespace {self.namespace}" if isinstance(self.home, Kube) else f"at {self.home.url}"

    @property
    def remark(self) -> str:
        """What is to be known of every change here; empty if nothing is."""
        if isinstance(self.home, Kube):
            return ""
        return "until the server's process ends: to keep it, declare it in the file of --desired"

    def typed(self, command: str) -> str:
        """A command as it is to be typed to work here, too."""
        return self.place.typed(command, self.namespace)

    def model_name(self, asked: str) -> str:
        """The LoRAModel that was asked for; the one there is at a server.

        Raises:
            Failed: the server's is another one.
        """
        if isinstance(self.home, Kube):
            return asked
        [only] = map(model_of, self.objects.list(MODELS)["items"])
        if asked and asked not in (only.meta.name, only.served_name):
            raise Failed(
                ErrorCode.NOT_FOUND, f"{self.home.url} serves {only.served_name}, not {asked}; leave --model out"
            )
        return only.meta.name

    def check_here(self, place: Path) -> None:
        """Makes sure that a path means the same here and to the server.

        Raises:
            Failed: they are two machines.
        """
        if isinstance(self.home, Server) and not self.home.is_here:
            raise Failed(
                ErrorCode.INVALID,
                f"{self.home.url} is another machine, to which {place} of this one means nothing: name a folder that it "
                f"has by --volume as VOLUME/folder, or a source on a server",
            )

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
            f"there is neither a LoRAAdapter nor a LoRAModel {name} {self.where}",
            then="kubectl lora status --all-namespaces" if isinstance(self.home, Kube) else self.typed("status"),
        )

    def serving(self, name: str) -> Serving:
        """Whom to talk to by the name of an object."""
        found = self.named(name)
        if isinstance(self.home, Server):
            return Serving(self.home, found.served_name)
        model = found.model if isinstance(found, Adapter) else found.meta.name
        transport = ThroughTheApiServer(self.home, model, self.api_key)
        return Serving(transport, found.served_name, keeps_scalings=scalings_kept(found) > 0)

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
                then=self.typed(f"rm {name}"),
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
                raise failure(adapter, seen, place=self.place)
            if seen != told:
                tell(seen)
                told = seen
            if clock.monotonic() >= deadline:
                raise failure(adapter, seen, timeout_seconds, self.place)
            clock.sleep(_LOOK_SECONDS)
            adapter = self.adapter(name)
            if adapter.meta.generation > wanted:
                raise Failed(
                    ErrorCode.CONFLICT,
                    f"somebody else has changed {name} meanwhile",
                    then=self.typed(f"describe {name}"),
                )
