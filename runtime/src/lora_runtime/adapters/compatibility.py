"""Whether an adapter fits a base model: the checks that the engine does not make."""

import difflib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.base import BaseModel
from lora_runtime.adapters.errors import Refused, incompatible, shown, unsupported
from lora_runtime.adapters.header import Shape
from lora_runtime.adapters.inspect import (
    PREFIX,
    Inspection,
    Limits,
    ModuleKind,
    check_values,
    inspect,
)

_NAMED_AT_MOST = 3


def validate(folder: Path, base: BaseModel, max_rank: int, limits: Limits = Limits()) -> Inspection:  # noqa: B008
    """Everything that must hold before an engine sees these files; reads every tensor once.

    Raises:
        Refused: with the first thing that does not hold.
    """
    inspection = inspect(folder, limits)
    check(inspection, base, max_rank)
    return replace(inspection, acts=check_values(folder, inspection))


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
    check_blend_rank([inspection], max_rank)


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


def check_blend_rank(inspections: Sequence[Inspection], max_rank: int) -> int:
    """Rank of the sum of these adapters: ranks add up within a module, the largest module decides.

    Raises:
        Refused: it is larger than the engine was started for.
    """
    ranks: dict[str, list[int]] = {}
    for inspection in inspections:
        for module in inspection.modules:
            ranks.setdefault(module.name, []).append(module.rank)
    name, largest = max(ranks.items(), key=lambda item: sum(item[1]))
    rank = sum(largest)
    if rank > max_rank:
        terms = f" ({' + '.join(map(str, largest))})" if len(largest) > 1 else ""
        what = "blend" if len(inspections) > 1 else "adapter"
        raise incompatible(
            Reason.RANK_TOO_LARGE,
            f"the {what} has rank {rank}{terms} in {name}, but the model allows {max_rank}; "
            f"set spec.adapters.maxRank of the LoRAModel to at least {rank} (this restarts its pods)",
        )
    return rank


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
                f"tensor {module.key('A')} adapts {_words(module.kind)}, but {module.name} of the base model is "
                f"{_words(target.kind)}",
            )
            continue
        for matrix, found, needed in (
            ("A", module.a_shape, (module.rank, target.in_features)),
            ("B", module.b_shape, (target.out_features, module.rank)),
        ):
            if found != needed:
                yield _shape_mismatch(module.key(matrix), found, needed, inspection)
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
