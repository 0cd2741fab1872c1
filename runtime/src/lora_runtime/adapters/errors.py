"""The two ways in which files can be unfit: an adapter is refused, a base model is unavailable."""

from collections import Counter
from pathlib import Path
from typing import Any

from lora_api.runtime_api import Refusal
from lora_api.v1alpha1.conditions import AdapterCondition, Reason

CONFIG_FILE = "adapter_config.json"
TENSORS_FILE = "adapter_model.safetensors"
ADAPTER_FILES = (CONFIG_FILE, TENSORS_FILE)
"""The files of an adapter; nothing else is ever fetched or read."""

PICKLES = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth")
_NAMED_AT_MOST = 8
_SHOWN_AT_MOST = 200
"""Characters of a stranger's text in a message."""


class Refused(Exception):
    """An adapter that cannot be served, with the condition and reason that the user will read."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class BaseModelUnavailable(Exception):
    """The base model cannot be had or read."""


def not_fetched(reason: Reason, message: str, *, retryable: bool) -> Refused:
    """The files could not be had; `retryable` when the same spec may succeed later."""
    refusal = Refusal(condition=AdapterCondition.FETCHED, reason=reason, message=message, retryable=retryable)
    return Refused(refusal)


def incompatible(reason: Reason, message: str) -> Refused:
    """These very bytes can never be served on this model."""
    refusal = Refusal(condition=AdapterCondition.COMPATIBLE, reason=reason, message=message, retryable=False)
    return Refused(refusal)


def malformed(message: str) -> Refused:
    """The files are damaged, lie, or are not what they are named."""
    return incompatible(Reason.MALFORMED_ADAPTER, message)


def unsupported(message: str) -> Refused:
    """The files are sound, but ask for something that the engine cannot apply."""
    return incompatible(Reason.UNSUPPORTED_FEATURE, message)


def shown(text: str) -> str:
    """A stranger's text as it may stand in a message and in a line of a log."""
    cut = text if len(text) <= _SHOWN_AT_MOST else text[: _SHOWN_AT_MOST - 3] + "..."
    return cut if cut.isprintable() else ascii(cut)


class DuplicateKey(ValueError):
    """A JSON object that names a key twice."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {shown(key)} is there twice")
        self.key = key


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json.loads(object_pairs_hook=)`.

    Raises:
        DuplicateKey: as JSON's readers disagree on which of two values counts.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DuplicateKey(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return found


def incomplete(place: str, present: list[str]) -> Refused | None:
    """What is wrong with a place that holds the files `present`; None when both files of an adapter are there.

    Args:
        place: Where it is, in words: `folder pirate of volume shared`.
        present: Names of the files directly inside.
    """
    missing = [name for name in ADAPTER_FILES if name not in present]
    if not missing:
        return None
    pickle = next((name for name in PICKLES if name in present), None)
    if missing == [TENSORS_FILE] and pickle is not None:
        return incompatible(
            Reason.UNSAFE_FORMAT,
            f"{place} has {pickle} but no {TENSORS_FILE}: pickle files can run code and are never opened. "
            f"Convert it where you trust it: PeftModel.from_pretrained(...).save_pretrained(folder)",
        )
    listed = ", ".join(shown(name) for name in sorted(present)[:_NAMED_AT_MOST]) or "nothing"
    more = f" and {len(present) - _NAMED_AT_MOST} more" if len(present) > _NAMED_AT_MOST else ""
    return not_fetched(
        Reason.SOURCE_NOT_FOUND,
        f"{place} has no {' and no '.join(missing)}; it has: {listed}{more}. "
        f"Point the source at the folder that PEFT's save_pretrained wrote",
        retryable=True,
    )


def list_files(folder: Path) -> list[str]:
    """Names of the files directly inside a folder; what is none, such as a pipe, has it said behind its name."""
    return [entry.name if entry.is_file() else f"{entry.name} (not a file)" for entry in folder.iterdir()]
