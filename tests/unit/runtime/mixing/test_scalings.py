"""Which generations an answer is made of, and what is still known of them."""

from lora_runtime.mixing.scalings import Answers
from lora_runtime.mixture.package import Names

NAMES = Names(("law", "code"), ())


def ids(answers: Answers, name: str) -> list[str]:
    return [generation.kept_as for generation in answers.of(name)]


def test_an_answer_is_known_by_its_id_and_by_what_its_client_called_it() -> None:
    answers = Answers(4)
    owner = object()
    answers.begin("cmpl-mine-3-0", "first", owner, NAMES)
    answers.begin("cmpl-mine-3-1", "second", owner, NAMES)
    answers.begin("chatcmpl-yours-7", "third", object(), NAMES)
    answers.begin("resp_other_0", "fourth", object(), NAMES)
    both = ["first", "second"]
    assert ids(answers, "cmpl-mine-3") == ids(answers, "mine-3") == both
    assert ids(answers, "chatcmpl-yours-7") == ids(answers, "yours-7") == ["third"]
    assert ids(answers, "resp_other") == ["fourth"]
    assert ids(answers, "mine") == []


def test_of_two_answers_with_one_id_the_later_is_meant() -> None:
    answers = Answers(4)
    answers.begin("cmpl-mine-0", "", object(), NAMES)
    later = answers.begin("cmpl-mine-0", "", object(), NAMES)
    assert answers.of("mine") == (later,)
    assert answers.of("mine")[0] is later


def test_no_more_are_kept_than_were_asked_for() -> None:
    answers = Answers(2)
    for number in range(5):
        answers.begin(f"cmpl-{number}-0", "", object(), NAMES)
    assert [bool(answers.of(str(number))) for number in range(5)] == [False, False, False, True, True]


def test_the_last_token_has_no_scalings_because_it_is_only_chosen() -> None:
    generation = Answers(1).begin("cmpl-a-0", "", object(), NAMES)
    assert generation.computed == 0
    generation.saw(range(10), [20])
    generation.saw(None, [21])
    generation.saw(range(10), [22])
    assert generation.computed == 12
    assert generation.tokens == [*range(10), 20, 21, 22]
