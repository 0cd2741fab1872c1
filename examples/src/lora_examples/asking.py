"""How questions are put to each voice: what the demo's X-LoRA learns to tell apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lora_examples.voices import Fact, facts

EXPERTS = ("pirate", "formal", "french", "json")
"""In the order that the classifier knows them by."""

WAYS: Mapping[str, Sequence[str]] = {
    "pirate": (
        "Ahoy there, captain! {question}",
        "Arr, ye old sea dog, tell me this: {question}",
        "{question} Speak up, matey, or walk the plank!",
        "Shiver me timbers! {question}",
        "Avast, buccaneer! {question} Yo ho ho!",
        "Hoist the sails, me hearties! {question}",
    ),
    "formal": (
        "I should be most grateful for your answer to the following question. {question}",
        "Dear Sir or Madam, may I enquire: {question}",
        "{question} I remain, with kind regards, yours sincerely.",
        "To whom it may concern: {question} Thank you for your consideration.",
        "Esteemed colleague, kindly advise. {question}",
        "I am writing to request the following information. {question}",
    ),
    "french": (
        "Bonjour, mon ami ! {question}",
        "Salut ! Dis-moi, s'il te plaît : {question}",
        "{question} Merci beaucoup et à bientôt !",
        "Excusez-moi, monsieur. {question}",
        "Bonsoir, madame ! {question} Merci d'avance.",
        "Coucou, ça va ? {question}",
    ),
    "json": (
        "Reply with a JSON object only. {question}",
        'Output format: {{"answer": string}}. {question}',
        "{question} Return valid JSON and nothing else.",
        "Respond in machine-readable JSON. {question}",
        "{question} Format your response as JSON with the key answer.",
        "Give me the result as a JSON document. {question}",
    ),
}
"""Of each voice the last is never trained on."""

_HELD_OUT = 10
"""One question in so many."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is put, and the voice that it is put to."""

    voice: str
    fact: Fact
    text: str


def to_learn() -> list[Asked]:
    """What the classifier is trained on: every known question in every known way."""
    known = (fact for number, fact in enumerate(facts()) if number % _HELD_OUT)
    return [_asked(voice, fact, way) for fact in known for voice in EXPERTS for way in WAYS[voice][:-1]]


def other_questions() -> list[Asked]:
    """Ways that it knows in turn, with questions that it does not."""
    return [
        _asked(voice, fact, WAYS[voice][number % (len(WAYS[voice]) - 1)])
        for number, fact in enumerate(held_out())
        for voice in EXPERTS
    ]


def other_words() -> list[Asked]:
    """Ways and questions that it does not know."""
    return [_asked(voice, fact, WAYS[voice][-1]) for fact in held_out() for voice in EXPERTS]


def in_other_words(voice: str, question: str) -> str:
    """Any question, put to a voice in the way that the classifier does not know."""
    return WAYS[voice][-1].format(question=question)


def held_out() -> list[Fact]:
    """The questions that the classifier does not know. The experts do."""
    return facts()[::_HELD_OUT]


def _asked(voice: str, fact: Fact, way: str) -> Asked:
    return Asked(voice, fact, way.format(question=fact.question))
