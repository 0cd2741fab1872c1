"""What is read from an answer of a real engine."""

from pathlib import Path

from bench.served.reference import Expected
from chaos.node.answers import Answers
from chaos.wishes import Content

ONE: Content = (("files", 1.0),)
HALF: Content = (("files", 0.5),)
OTHER: Content = (("other files", 1.0),)
CLEAR, UNDECIDED = 1.0, 0.001


def answers_of(**known: tuple[Expected, ...]) -> Answers:
    contents = {"one": ONE, "half": HALF, "other": OTHER}
    made = Answers(Path("base"), {}, ((1,), (2,)))
    for name, expected in known.items():
        made.know(contents[name], expected)
    return made


def test_an_answer_is_of_the_content_whose_answer_it_is() -> None:
    answers = answers_of(one=(Expected((1, 2), CLEAR),), half=(Expected((1, 3), CLEAR),))
    assert answers.read(0, (1, 3), [ONE, HALF]) == {HALF}


def test_an_answer_of_nothing_known_is_nothing() -> None:
    answers = answers_of(one=(Expected((1, 2), CLEAR),))
    assert answers.read(0, (9, 9), [ONE]) == frozenset()


def test_what_is_hardly_decided_may_be_anything() -> None:
    answers = answers_of(one=(Expected((1, 2), CLEAR),), half=(Expected((1, 3), UNDECIDED),))
    assert answers.read(0, (1, 2), [ONE, HALF]) == {ONE, HALF}


def test_the_prompt_is_one_that_tells_what_is_wanted_from_the_rest() -> None:
    answers = answers_of(
        one=(Expected((1, 2), CLEAR), Expected((5, 6), CLEAR)),
        half=(Expected((1, 2), CLEAR), Expected((7, 8), CLEAR)),
    )
    assert answers.telling(ONE, [ONE, HALF]) == 1


def test_a_prompt_with_a_clear_answer_comes_before_one_that_tells_more_apart() -> None:
    answers = answers_of(
        one=(Expected((1, 2), CLEAR), Expected((5, 6), UNDECIDED)),
        half=(Expected((1, 2), CLEAR), Expected((7, 8), CLEAR)),
    )
    assert answers.telling(ONE, [ONE, HALF]) == 0
