"""What the benchmark of X-LoRA says of its rounds."""

from bench.served.world import Model
from bench.xlora.results import key_figures, result_of
from bench.xlora.run import Arm, Round, Run
from bench.xlora.settings import Settings

RIGHT = ((1, 2), (3, 4))


def a_run(*rounds: Round) -> Run:
    return Run(Settings(Model.TINY, seed=0, prompts=2, tokens=2, rounds=1), list(rounds))


def a_round(mixture: tuple[tuple[int, ...], ...] = RIGHT) -> Run:
    return a_run(
        Round(Arm.PEFT, 40.0, RIGHT),
        Round(Arm.MIXTURE, 2.0, RIGHT),
        Round(Arm.BASE, 1.0, ((9, 9), (9, 9))),
        Round(Arm.BASE, 1.0, ((9, 9), (9, 9))),
        Round(Arm.MIXTURE, 2.0, mixture),
    )


def test_ratios_are_those_of_throughputs() -> None:
    assert key_figures(result_of(a_round())) == {"vs_peft": 20.0, "vs_base": 0.5, "mismatches": 0}


def test_an_answer_of_the_mixture_that_is_not_pefts_is_a_mismatch() -> None:
    result = result_of(a_round(mixture=((1, 2), (3, 5))))
    assert result.mismatches == ("round 4, prompt 1, X-LoRA on vLLM: (3, 5) instead of (3, 4)",)
