"""Whether an adapter would be served: what was checked, and honestly what was not."""

from collections.abc import Iterator
from dataclasses import dataclass

from lora_api.runtime_api import AdapterFacts
from lora_cli.domain.diagnosis import Line, Tone
from lora_cli.domain.objects import Json, Model
from lora_cli.domain.sizes import size


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found out about files that nothing speaks against."""

    rank: int
    modules: int
    acts: bool
    """False when every product of A and B is zero."""
    trained_on: str
    """What the adapter says; empty when it does not say."""
    architecture: str | None
    """The class that shapes were held against; None if there was none to hold them against."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one adapter for one model; an adapter that does not fit has none, but an error."""

    target: str
    model: Model
    schema: bool
    """Whether the API server took the object, in a dry run."""
    files: Checked | None
    """None if they could not be read from here."""

    @property
    def decided(self) -> bool:
        """Whether all was checked that can be checked without a pod."""
        return self.files is not None and self.files.architecture is not None

    def lines(self) -> Iterator[Line]:
        """It in words."""
        if self.decided:
            yield Line(f"{self.target} fits {self.model.meta.name}", Tone.GOOD)
        elif self.files is None:
            yield Line(
                f"only the form of {self.target} was checked, for {self.model.meta.name}: not its files", Tone.WAITING
            )
        else:
            yield Line(
                f"nothing found that speaks against {self.target} on {self.model.meta.name}, but not all was checked",
                Tone.WAITING,
            )
        yield from (Line(f"checked: {what}") for what in self.checked())
        yield from (Line(f"not checked: {what}") for what in self.unchecked())

    def checked(self) -> Iterator[str]:
        """What holds."""
        if self.schema:
            yield "the API server takes the object, from you"
        files = self.files
        if files is None:
            return
        yield f"the files are a sound LoRA of {files.modules} modules, without NaN or infinite values"
        yield f"rank {files.rank}, of {self.model.spec.adapters.max_rank} that the model allows"
        if files.architecture is not None:
            yield f"every module and shape exists in the base model ({files.architecture})"
        if files.trained_on:
            yield f"it says that it was trained on {files.trained_on}"
        if not files.acts:
            yield "it changes nothing: in every module A or B is zero, as before training"

    def unchecked(self) -> Iterator[str]:
        """What may still stand in the way."""
        if self.files is None:
            yield (
                "the files, and that they are there at all: from buckets, web servers, registries and volumes only pods read; "
                "download them, and name the folder"
            )
        elif self.files.architecture is None:
            yield f"modules and shapes: the base model is {self.model.spec.source.describe()}; name a copy with --base"
        if self.schema:
            yield "credentials, and whether pods may and can reach the place"
        else:
            yield "the place that pods will fetch it from"
        yield "whether the engine adapts each of these modules, and whether there is room: only pods know"

    def data(self) -> Json:
        """It for programs."""
        return {
            "target": self.target,
            "model": self.model.meta.name,
            "verdict": "Compatible" if self.decided else "Undecided",
            "checked": list(self.checked()),
            "notChecked": list(self.unchecked()),
        }


@dataclass(frozen=True, slots=True)
class CheckedThere:
    """What a server without a cluster found of an adapter that it could serve."""

    target: str
    url: str
    facts: AdapterFacts

    def lines(self) -> Iterator[Line]:
        """It in words."""
        yield Line(f"{self.target} fits what {self.url} serves", Tone.GOOD)
        yield from (Line(f"checked: {what}") for what in self._checked())
        yield Line("not checked: whether there is room for it")

    def data(self) -> Json:
        """It for programs."""
        return {
            "target": self.target,
            "server": self.url,
            "verdict": "Compatible",
            "digest": self.facts.digest,
            "checked": list(self._checked()),
        }

    def _checked(self) -> Iterator[str]:
        yield f"its files, read by the server from {self.facts.source.describe()}: {size(self.facts.size_bytes)}"
        yield f"rank {self.facts.rank}, and every module and shape against the base model and the engine"
