"""Whether an adapter fits a base model: the checks that the engine does not make."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lora_api.runtime_api import Part, Recipe
from lora_api.v1alpha1.conditions import Reason
from lora_api.wire import Digest
from lora_runtime.adapters.base import BaseModel
from lora_runtime.adapters.errors import Refused, incompatible, shown, unsupported
from lora_runtime.adapters.header import Shape
from lora_runtime.adapters.inspect import PREFIX, Inspection, ModuleKind, inspect
from lora_runtime.adapters.layout import gguf_at
from lora_runtime.adapters.tensors import check_values

_NAMED_AT_MOST = 3


def validate(place: Path, base: BaseModel, max_rank: int) -> Inspection:
    """Everything that must hold before an engine sees these files; reads every tensor once.

    Args:
        place: A folder as the store has it, or a GGUF file.
        base: What they must fit.
        max_rank: What the engine was started for.

    Raises:
        Refused: with the first thing that does not hold.
    """
    inspection = _inspected(place, base)
    check(inspection, base, max_rank)
    return replace(inspection, acts=check_values(place, inspection))


def _inspected(place: Path, base: BaseModel) -> Inspection:
    file = gguf_at(place)
    if file is None:
        return inspect(place)
    # its library takes part of a second to import; only a pod that is given such adapters pays for it
    from lora_runtime.adapters.gguf_file.inspect import inspect_gguf

    return inspect_gguf(file, base)


def check(inspection: Inspection, base: BaseModel, max_rank: int) -> None:
    """Holds names, shapes and ranks against the base model.

    An adapter that was trained on another model of exactly these shapes, such as a fine-tune, fits.

    Raises:
        Refused: UnknownModules, BaseModelMismatch, ShapeMismatch or RankTooLarge.
    """
    unknown = [module.name for module in inspection.modules if module.name not in base.modules]
    if unknown:
        raise _unknown_modules(unknown, inspection, base)
    wrong = next(_wrong_shapes(inspection, base), None)
    if wrong is not None:
        raise wrong
    widest = max(inspection.modules, key=lambda module: module.rank)
    if widest.rank > max_rank:
        raise _rank_too_large("adapter", widest.name, [widest.rank], max_rank, "")


def check_adapted(inspections: Sequence[Inspection], adapted: Collection[str] | None) -> None:
    """Holds the modules against those that the engine applies adapters to; None means that those are not known.

    Raises:
        Refused: the engine would leave out part of the adapter without a word.
    """
    if adapted is None:
        return
    names = sorted({module.name for inspection in inspections for module in inspection.modules})
    if left_out := [name for name in names if name not in adapted]:
        raise unsupported(
            f"the engine applies no adapter to {len(left_out)} of its {len(names)} modules: {_listed(left_out)}; train it "
            f"without them, or take --lora-target-modules out of spec.engine.extraArgs of the LoRAModel if that is the cause"
        )


def check_recipe_rank(recipe: Recipe, inspections: Mapping[Digest, Inspection], max_rank: int) -> None:
    """Holds the rank of what a recipe makes against the engine's: ranks add up within a module, the largest decides.

    Args:
        recipe: What is to be made.
        inspections: Of its leaves, by digest.
        max_rank: What the engine was started for.

    Raises:
        Refused: RankTooLarge.
    """
    if recipe.rank is not None:
        if recipe.rank > max_rank:
            raise _rank_too_large("blend", "spec.blend.rank", [recipe.rank], max_rank, "")
        return
    name, ranks = max(part_ranks(recipe, inspections).items(), key=lambda item: sum(item[1]))
    if sum(ranks) > max_rank:
        raise _rank_too_large("blend", name, ranks, max_rank, ", or set spec.blend.method to SVD")


def part_ranks(recipe: Recipe, inspections: Mapping[Digest, Inspection]) -> Mapping[str, list[int]]:
    """By module: the largest rank that each of its parts which adapt it can have there."""
    ranks: dict[str, list[int]] = {}
    for part in recipe.parts:
        if isinstance(part, Part):
            found = {module.name: module.rank for module in inspections[part.digest].modules}
        else:
            inner = part_ranks(part.recipe, inspections)
            limit = part.recipe.rank
            found = {name: sum(terms) if limit is None else limit for name, terms in inner.items()}
        for name, rank in found.items():
            ranks.setdefault(name, []).append(rank)
    return ranks


def _rank_too_large(what: str, where: str, ranks: Sequence[int], max_rank: int, else_: str) -> Refused:
    rank = sum(ranks)
    terms = f" ({' + '.join(map(str, ranks))})" if len(ranks) > 1 else ""
    return incompatible(
        Reason.RANK_TOO_LARGE,
        f"the {what} has rank {rank}{terms} in {where}, but the model allows {max_rank}; "
        f"set spec.adapters.maxRank of the LoRAModel to at least {rank} (this restarts its pods){else_}",
    )


def _unknown_modules(unknown: Sequence[str], inspection: Inspection, base: BaseModel) -> Refused:
    other = next((name for name in unknown if name in base.others), None)
    if other is not None:
        return unsupported(
            f"the adapter changes {other}, which is a {base.others[other]} in the base model ({base.architecture}); "
            f"LoRA is served on linear layers and embeddings: set target_modules to some of those"
        )
    listed = _listed(unknown)
    if len(unknown) == len(inspection.modules):
        trained_on = f" {inspection.base_model}" if inspection.base_model else " another architecture"
        return incompatible(
            Reason.BASE_MODEL_MISMATCH,
            f"the adapter was trained on{trained_on}: none of its modules exist in the base model "
            f"({base.architecture}), for instance {listed}; set spec.modelRef to a LoRAModel of its own base",
        )
    close = difflib.get_close_matches(unknown[0], base.modules, n=1)
    hint = f"; the closest that exists is {close[0]}" if close else ""
    return incompatible(
        Reason.UNKNOWN_MODULES,
        f"the adapter changes modules that the base model ({base.architecture}) does not have: {listed}{hint}",
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(shown(name) for name in names[:_NAMED_AT_MOST]) + more


def _wrong_shapes(inspection: Inspection, base: BaseModel) -> Iterator[Refused]:
    for module in inspection.modules:
        target = base.modules[module.name]
        if module.kind is not target.kind:
            yield incompatible(
                Reason.SHAPE_MISMATCH,
                f"tensor {module.stored_as('A')} adapts {_words(module.kind)}, but {module.name} of the base model is "
                f"{_words(target.kind)}",
            )
            continue
        for matrix, found, needed in (
            ("A", module.a_shape, (module.rank, target.in_features)),
            ("B", module.b_shape, (target.out_features, module.rank)),
        ):
            if found != needed:
                yield _shape_mismatch(module.stored_as(matrix), found, needed, inspection)
    for name, shape in inspection.saved_embeddings:
        table = base.modules.get(name)
        if table is None:
            continue
        rows = (table.in_features, table.out_features)
        needed = rows if table.kind is ModuleKind.EMBEDDING else rows[::-1]
        if shape != needed:
            yield _shape_mismatch(f"{PREFIX}{name}.base_layer.weight", shape, needed, inspection)


def _shape_mismatch(tensor: str, found: Shape, needed: Shape, inspection: Inspection) -> Refused:
    trained_on = f" (the adapter was trained on {inspection.base_model})" if inspection.base_model else ""
    return incompatible(
        Reason.SHAPE_MISMATCH,
        f"tensor {tensor} has shape {list(found)}, but the base model needs {list(needed)}{trained_on}",
    )


def _words(kind: ModuleKind) -> str:
    return "an embedding" if kind is ModuleKind.EMBEDDING else "a linear layer"
