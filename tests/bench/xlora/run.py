"""Has the same prompts continued by PEFT, by the mixture on vLLM, and by the plain base model on vLLM, in turns."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import torch

from bench.xlora.settings import Settings
from bench.xlora.world import World
from support.mixture_process import ServedMixture, start_mixture

# As in the pods that the operator makes for CPUs. Long blocks: no round finds in the prefix cache what an earlier one left.
_FLAGS = ("--enforce-eager", "--block-size=128", "--max-num-batched-tokens=512", "--max-num-seqs=16")

Tell = Callable[[str], None]
Tokens = tuple[int, ...]


class Arm(StrEnum):
    """Who answers."""

    PEFT = "PEFT"
    MIXTURE = "X-LoRA on vLLM"
    BASE = "base on vLLM"


@dataclass(frozen=True, slots=True)
class Round:
    """All prompts once."""

    arm: Arm
    seconds: float
    answers: tuple[Tokens, ...]


@dataclass(slots=True)
class Run:
    """Everything that is known."""

    settings: Settings
    rounds: list[Round] = field(default_factory=list)


def run(folder: Path, world: World, settings: Settings, tell: Tell) -> Run:
    """Starts both servers, does everything, ends them."""
    torch.set_num_threads(1)  # as the servers
    made = Run(settings)
    with ExitStack() as started:
        tell("starting both servers")
        servers = {}
        for arm, model in ((Arm.MIXTURE, world.model), (Arm.BASE, world.base)):
            servers[arm] = start_mixture(folder / arm.name, model, flags=_FLAGS)
            started.callback(servers[arm].stop)
        for server in servers.values():
            server.wait_until_ready()
            _served(server, world, settings)
        for _ in range(settings.rounds):
            for arm in (Arm.PEFT, *(Arm.MIXTURE, Arm.BASE, Arm.BASE, Arm.MIXTURE) * 2):
                began = time.monotonic()
                answers = _peft(world, settings) if arm is Arm.PEFT else _served(servers[arm], world, settings)
                made.rounds.append(Round(arm, time.monotonic() - began, answers))
                tell(f"{arm}: {settings.prompts * settings.tokens / made.rounds[-1].seconds:.1f} tokens per second")
    return made


def _served(server: ServedMixture, world: World, settings: Settings) -> tuple[Tokens, ...]:
    return tuple(found.tokens for found in server.complete_all(world.prompts, settings.tokens, logprobs=None))


def _peft(world: World, settings: Settings) -> tuple[Tokens, ...]:
    prompts = torch.tensor(world.prompts)
    with torch.inference_mode():
        found = world.peft.generate(
            input_ids=prompts,
            attention_mask=torch.ones_like(prompts),
            max_new_tokens=settings.tokens,
            do_sample=False,
            eos_token_id=None,
        )
    return tuple(tuple(row) for row in found[:, prompts.shape[1] :].tolist())
