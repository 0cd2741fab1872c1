"""What is sent to the API server for each wish."""

from collections.abc import Iterable, Mapping

from lora_api import labels
from lora_api.v1alpha1.adapter import AdapterSource, LoRAAdapter
from lora_api.v1alpha1.blend import BlendMethod
from lora_cli.domain.objects import Adapter, Json

_ANY_NAME = "kubectl-lora-"


def adapter(name: str | None, model: str, spec: Json) -> Json:
    """A new LoRAAdapter of a model, with any name if None; fields of the spec that are None are left out."""
    return {
        "apiVersion": labels.API_VERSION,
        "kind": LoRAAdapter.kind,
        "metadata": {"generateName": _ANY_NAME} if name is None else {"name": name},
        "spec": {"modelRef": {"name": model}, **without_nulls(spec)},
    }


def written(source: AdapterSource) -> Json:
    """A source as it stands in a spec: what is at its default is left out."""
    found: Json = source.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return found


def weight(value: float) -> Json:
    """A merge patch that changes how strongly an adapter acts."""
    return {"spec": {"weight": _as_stored(value)}}


def blend(members: Mapping[str, float], method: BlendMethod, rank: int | None, density: float | None) -> Json:
    """The field spec.blend; as a merge patch it replaces every field of it that can be given."""
    listed = [{"adapterRef": {"name": name}, "weight": _as_stored(share)} for name, share in members.items()]
    thinned = None if density is None else _as_stored(density)
    return {"method": method.value, "rank": rank, "density": thinned, "members": listed}


def replacement(present: Adapter, model: str, spec: Json) -> list[Json]:
    """A JSON patch that has an adapter served from another place; what is not given stays, but for a pin of other files."""
    wanted = {"modelRef": {"name": model}, "source": spec["source"], "blend": None, "digest": spec["digest"]}
    return steps(present, wanted | without_nulls(spec))


def steps(present: Adapter, wanted: Json) -> list[Json]:
    """A JSON patch that gives fields of the spec these values, or takes those away that are None.

    It fails if the spec was changed meanwhile.
    """
    there = present.spec.model_dump(by_alias=True, exclude_none=True)
    # Not the resourceVersion, which every status moves.
    made: list[Json] = [{"op": "test", "path": "/metadata/generation", "value": present.meta.generation}]
    for field, value in wanted.items():
        if value is not None:
            sent = _as_stored(value) if isinstance(value, float) else value
            made.append({"op": "add", "path": f"/spec/{field}", "value": sent})
        elif field in there:
            made.append({"op": "remove", "path": f"/spec/{field}"})
    return made


def without_nulls(patch: Json) -> Json:
    """What a merge patch comes to where there is nothing yet."""
    return {key: value for key, value in patch.items() if value is not None}


def shares(words: Iterable[str]) -> dict[str, float]:
    """Members of a blend from words as `pirate=0.7`; a name alone has the weight 1.

    Raises:
        ValueError: a word is no such thing, or names a member again.
    """
    found: dict[str, float] = {}
    for word in words:
        name, given, value = word.partition("=")
        try:
            share = float(value) if given else 1.0
        except ValueError as error:
            raise ValueError(f"{word!r} is no member and weight; write pirate=0.7") from error
        if not name or name in found:
            raise ValueError(f"{word!r} names no member, or one that was named before; write pirate=0.7 formal=0.5")
        found[name] = share
    return found


def _as_stored(value: float) -> float:
    """1 for 1.0, between which the API server sees a difference: to send 1.0 again would be an edit, for which to wait."""
    return int(value) if value.is_integer() else value
