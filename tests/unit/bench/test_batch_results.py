"""What the benchmark of mixed batches says of its rounds."""

from bench.batch.results import key_figures, result_of
from bench.batch.run import Asked, Round, Run
from bench.batch.settings import Settings
from bench.served.recipes import recipe
from bench.served.reference import Expected
from bench.served.world import Model

ASKED = (Asked("pirate", 0), Asked("formal", 0))
RIGHT = ((1, 2), (3, 4))
REFERENCES = {recipe(pirate=1.0): (Expected((1, 2), 1.0),), recipe(formal=1.0): (Expected((3, 4), 1.0),)}


def a_run(*rounds: Round) -> Run:
    return Run(Settings(Model.TINY, seed=0), ASKED, list(rounds))


def test_the_ratio_is_that_of_throughputs() -> None:
    run = a_run(Round(True, 2.0, RIGHT), Round(False, 8.0, RIGHT), Round(False, 8.0, RIGHT), Round(True, 2.0, RIGHT))
    key = key_figures(result_of(run, REFERENCES))
    assert (key["throughput_ratio"], key["mismatches"], key["answers"]) == (4.0, 0, 8)


def test_every_answer_that_is_not_pefts_is_a_mismatch_and_so_is_one_that_is_missing() -> None:
    swapped = Round(True, 2.0, RIGHT[::-1])
    missing = Round(False, 8.0, RIGHT[:1])
    result = result_of(a_run(swapped, missing), REFERENCES)
    assert result.mismatches == (
        "pirate on prompt 0 in one call: (3, 4)",
        "formal on prompt 0 in one call: (1, 2)",
        "1 answers to 2 prompts",
    )
