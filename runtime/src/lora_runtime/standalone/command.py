"""`lora-runtime serve`: what a person types, as settings, wishes and flags of vLLM."""

import argparse
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lora_api.accelerators import Profile
from lora_api.adapter_flags import adapter_flags
from lora_api.local_api import DISK
from lora_api.v1alpha1.common import ModelSource, ServedName
from lora_api.v1alpha1.model import AdapterLimits, Composition
from lora_api.wrong_values import in_words
from lora_runtime.standalone import engine_flags, places
from lora_runtime.standalone.wish import Changes, Wish

ADAPTERS_VARIABLE = "LORA_ADAPTERS"
PLAIN = Profile(device=None, auto_dtype="auto")
"""An engine that needs nothing said to it."""
_DEFAULTS = AdapterLimits()

_EXAMPLES = """\
an adapter is [NAME=]PLACE[@WEIGHT]; a place is a folder as PEFT writes it, owner/name on the Hugging Face Hub, or
hf://owner/name[/folder][@revision], s3://bucket/folder, gs://bucket/folder, oci://registry/repository:tag,
https://server/folder. Without a name, it is served as the repository or the folder is called.

  lora-runtime serve --model ./smol --adapter pirate=./pirate@0.7 --adapter formal=hf://team/formal@v3
  lora-runtime serve --model HuggingFaceTB/SmolLM2-135M-Instruct --desired adapters.yaml --dtype float32
  LORA_ADAPTERS=team/formal,pirate=/data/pirate lora-runtime serve --model ./smol

Flags that are not listed here are vLLM's own, and go to its server.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """What was typed, understood."""

    model: ModelSource
    served_name: str
    limits: AdapterLimits
    wishes: tuple[Wish, ...]
    file: Path | None
    state: Path
    volumes: Mapping[str, Path]
    """By name: folders that objects in the file call volumes."""
    credentials: Mapping[str, Path]
    """By name: folders with the keys of Secrets."""
    api_keys_file: Path | None
    changes: Changes
    composition: Composition | None
    """What requests may compose."""
    flags: tuple[str, ...]
    """Of vLLM."""


def read(arguments: Sequence[str], environment: Mapping[str, str], profile: Profile = PLAIN) -> Command:
    """The command that was typed behind `serve`.

    Args:
        arguments: what was typed.
        environment: of the process.
        profile: of the engine that is installed here; what was typed wins over its flags.

    Raises:
        SystemExit: it asked for help, or cannot be understood; told on stderr.
    """
    parser = _parser()
    typed, rest = parser.parse_known_args(arguments)
    own = [option for action in parser._actions for option in action.option_strings]
    for problem in engine_flags.problems(rest, own, environment):
        parser.error(problem)
    try:
        model = places.model(typed.model)
        served_name = typed.served_model_name or _called(model)
        TypeAdapter(ServedName).validate_python(served_name)
        listed = [entry for entry in environment.get(ADAPTERS_VARIABLE, "").split(",") if entry.strip()]
        volumes, credentials = _named(typed.volume), _named(typed.credentials)
        wishes = tuple(places.adapter(text, volumes=volumes) for text in (*typed.adapter, *listed))
        limits = AdapterLimits(
            max_rank=typed.max_rank,
            max_resident=typed.max_resident,
            max_cached=max(typed.max_cached, typed.max_resident),
        )
        desired = _there(_file(typed.desired))
    except places.Unclear as error:
        parser.error(str(error))
    except ValidationError as error:
        parser.error(in_words(error))
    names = [wish.name for wish in wishes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        parser.error(f"{', '.join(twice)} is declared twice: give one of them another name, as in other=PLACE")
    if served_name in names:
        parser.error(
            f"{served_name} is the base model's own name: set --served-model-name, or call the adapter otherwise"
        )
    return Command(
        model=model,
        served_name=served_name,
        limits=limits,
        wishes=wishes,
        file=desired,
        state=Path(typed.state).absolute() if typed.state else _state(environment, model, served_name),
        volumes=volumes,
        credentials=credentials,
        api_keys_file=_file(typed.api_keys_file),
        changes=Changes(typed.allow_changes, _file(typed.admin_keys_file)),
        composition=Composition() if typed.allow_composition else None,
        flags=(
            f"--host={typed.host}",
            f"--port={typed.port}",
            f"--dtype={profile.auto_dtype}",
            "--api-server-count=1",
            *adapter_flags(limits),
            *profile.flags_for(1, rest),
            *rest,
        ),
    )


def _called(model: ModelSource) -> str:
    """The last part of where it comes from."""
    place = model.volume.path if model.volume is not None else model.hugging_face.repo if model.hugging_face else ""
    return place.rpartition("/")[2]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lora-runtime serve",
        description="Serves a base model and LoRA adapters on this machine, without a cluster.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--model", required=True, metavar="PLACE", help="the base model: a folder, or owner/name on the hub")
    add("--served-model-name", metavar="NAME", help="what clients call it; default: the last part of --model")
    add("--adapter", action="append", default=[], metavar="ADAPTER", help="may be given more than once")
    add("--desired", metavar="FILE", help="LoRAAdapter objects in YAML; read again whenever it changes")
    add("--max-rank", type=int, default=_DEFAULTS.max_rank, help="largest rank (default %(default)s)")
    add("--max-resident", type=int, default=_DEFAULTS.max_resident, help="adapters in one batch (default %(default)s)")
    add("--max-cached", type=int, default=_DEFAULTS.max_cached, help="adapters in host memory (default %(default)s)")
    add("--volume", action="append", default=[], metavar="NAME=FOLDER", help="what the file calls a volume")
    add(
        "--credentials", action="append", default=[], metavar="NAME=FOLDER", help="what it calls a Secret: a file a key"
    )
    add("--api-keys-file", metavar="FILE", help="keys that clients must show, one a line; read again when it changes")
    add(
        "--allow-changes", action="store_true", help="processes of this machine may change adapters over HTTP, "
        "as `lora scale` does; by default nobody may"
    )  # fmt: skip
    add("--admin-keys-file", metavar="FILE", help="who shows one of its keys may change adapters, from anywhere")
    add("--allow-composition", action="store_true", help="requests may compose adapters: lora: {weight}, lora: {blend}")
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s: this machine alone)")
    add("--port", type=int, default=8000, help="default %(default)s")
    add("--state", metavar="FOLDER", help="keeps downloads; default: a folder of this model in ~/.cache/lora-runtime")
    return parser


def _file(typed: str | None) -> Path | None:
    return None if typed is None else Path(typed).absolute()


def _there(file: Path | None) -> Path | None:
    """It may go later, and what it declared stays; but what was never there is a slip of the pen."""
    if file is not None and not file.is_file():
        raise places.Unclear(f"--desired: there is no file {file}; to declare nothing yet, leave a comment in it")
    return file


def _named(entries: Sequence[str]) -> dict[str, Path]:
    found = {}
    for entry in entries:
        name, has, folder = entry.partition("=")
        path = Path(folder).expanduser().absolute()
        if not has or not name or "/" in name or name in (DISK, ".", ".."):
            raise places.Unclear(f"{entry!r} must be NAME=FOLDER, with another name than {DISK!r} and without '/'")
        if not path.is_dir():
            raise places.Unclear(f"{entry!r}: there is no folder {path}")
        found[name] = path
    return found


def _state(environment: Mapping[str, str], model: ModelSource, served_name: str) -> Path:
    """One folder for each model: what was served of another one would not fit."""
    cache = environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    key = hashlib.sha256(model.model_dump_json(by_alias=True).encode()).hexdigest()[:8]
    return Path(cache) / "lora-runtime" / f"{served_name.replace('/', '-')}-{key}"
