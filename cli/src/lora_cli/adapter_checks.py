"""The runtime's own checks of an adapter's files, on this machine. Needs the extra `validate`: torch, transformers.

The one module that imports from the runtime, and only its room `adapters`, which is pure: see ADR 18.
"""

from pathlib import Path

from lora_api.error_codes import ErrorCode, code_of
from lora_api.v1alpha1.common import HuggingFaceSource
from lora_cli.domain.verdicts import Checked
from lora_cli.errors import Failed

_GGUF_ENDING = ".gguf"
_INSTALL = "pipx install --force '.[cli,validate]'  # in a checkout of lora-operator"


def check(place: Path, base: Path | None, max_rank: int) -> Checked:
    """Everything that a pod would check of these files before its engine sees them, as far as the base is known.

    Args:
        place: A folder, or a GGUF file.
        base: The base model's folder, if it is known.
        max_rank: What the model allows.

    Raises:
        Failed: the files do not fit, the base cannot be read, or the checks are not installed.
    """
    try:
        from lora_runtime.adapters.base import load_base
        from lora_runtime.adapters.compatibility import validate
        from lora_runtime.adapters.errors import BaseModelUnavailable, Refused, list_files
        from lora_runtime.adapters.inspect import inspect
        from lora_runtime.adapters.layout import GGUF_FILE, choose
        from lora_runtime.adapters.tensors import check_values
    except ImportError as error:
        raise Failed(
            ErrorCode.NOT_FOUND,
            f"the checks are not installed here ({error}): they are those of the runtime, and need torch and transformers",
            then=_INSTALL,
        ) from error
    try:
        gguf = place.suffix == _GGUF_ENDING
        if not gguf and (chosen := choose(f"folder {place}", list_files(place)).get(GGUF_FILE)) is not None:
            place, gguf = place / chosen, True
        if base is None and gguf:
            raise Failed(
                ErrorCode.NOT_FOUND,
                f"{place} can only be understood together with its base model, which cannot be read from here: give its "
                f"folder with --base",
            )
        if base is None:
            inspection = inspect(place)
            acts, architecture = check_values(place, inspection), None
        else:
            model = load_base(base)
            inspection = validate(place, model, max_rank)
            acts, architecture = inspection.acts, model.architecture
    except Refused as refused:
        reason = refused.refusal.reason
        raise Failed(code_of(reason), f"{reason}: {refused}") from refused
    except BaseModelUnavailable as error:
        raise Failed(ErrorCode.NOT_FOUND, str(error)) from error
    except OSError as error:
        raise Failed(
            ErrorCode.NOT_FOUND, f"{error.filename or place} cannot be read: {error.strerror or error}"
        ) from error
    if inspection.rank > max_rank:
        raise Failed(
            ErrorCode.INCOMPATIBLE,
            f"RankTooLarge: the adapter has rank {inspection.rank}, but the model allows {max_rank} (spec.adapters.maxRank)",
        )
    return Checked(inspection.rank, len(inspection.modules), acts, inspection.base_model, architecture)


def download(source: HuggingFaceSource, patterns: tuple[str, ...]) -> Path:
    """A folder with the files of a repository on the hub that match, read with the user's own token.

    Raises:
        Failed: they cannot be had.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError as error:
        raise Failed(ErrorCode.NOT_FOUND, f"the hub's client is not installed here ({error})", then=_INSTALL) from error
    prefix = f"{source.subfolder.strip('/')}/" if source.subfolder else ""
    if prefix.endswith(f"{_GGUF_ENDING}/"):
        prefix, patterns = prefix.rstrip("/"), ("",)
    try:
        folder = snapshot_download(
            source.repo, revision=source.revision, allow_patterns=[prefix + pattern for pattern in patterns]
        )
    except (HfHubHTTPError, OSError) as error:
        match error:
            case GatedRepoError():
                code = ErrorCode.UNAUTHORIZED
            case RepositoryNotFoundError() | RevisionNotFoundError():
                code = ErrorCode.NOT_FOUND
            case _:
                code = ErrorCode.UNREACHABLE
        why = str(error).strip().splitlines()[0]
        raise Failed(
            code,
            f"{source.repo}@{source.revision} cannot be read from here: {why}",
            then="hf auth whoami",
        ) from error
    return Path(folder) / prefix
