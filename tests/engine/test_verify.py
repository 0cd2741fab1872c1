"""spec.verify on a real engine: right and wrong golden outputs, of adapters and of blends."""

import hashlib

import pytest

from engine.conftest import World, states
from lora_api.runtime_api import DesiredAdapter, RevisionSpec
from lora_api.v1alpha1.adapter import Verify
from lora_api.v1alpha1.conditions import Reason
from support.models import reference

QUESTION = "The capital of France is"
TOKENS = 8


def golden(world: World, *parts: tuple[str, float]) -> str:
    """What PEFT answers in float32; vLLM holds the bytes of a character that is not whole yet back."""
    adapters = [(world.adapter(name), weight) for name, weight in parts]
    return reference(world.base, adapters, QUESTION, TOKENS).text.rstrip("\ufffd")


def checked(spec: RevisionSpec, **wanted: str) -> RevisionSpec:
    return spec.model_copy(update={"verify": Verify(prompt=QUESTION, max_tokens=TOKENS, **wanted)})


@pytest.mark.parametrize("parts", [(("a", 1.0),), (("a", 0.7), ("b", 0.5))], ids=["adapter", "blend"])
def test_what_answers_as_peft_says_is_served(world: World, parts: tuple[tuple[str, float], ...]) -> None:
    world.serve()
    answer = golden(world, *parts)
    world.serve(x=checked(world.spec(*parts), contains=answer))
    world.serve()
    world.serve(x=checked(world.spec(*parts), sha256=hashlib.sha256(answer.encode()).hexdigest()))
    assert world.tokens("x") == world.reference(*parts)


def test_what_answers_otherwise_is_not_served_and_the_old_revision_serves_on(world: World) -> None:
    old = world.spec(("a", 1.0))
    bad = checked(world.spec(("a", 0.2)), contains="no tiny model says this")
    world.serve(x=old)
    world.declare(DesiredAdapter(name="x", uid="x", serve=old, prepare=bad))
    found = world.until(lambda found: states(found) == {("x", old.revision, "Serving"), ("x", bad.revision, "Failed")})
    report = found.adapters[0].report(bad.revision)
    assert report is not None
    assert report.reason is Reason.VERIFY_FAILED
    assert repr(golden(world, ("a", 0.2))) in report.message
    assert world.tokens("x") == world.reference(("a", 1.0))

    good = checked(world.spec(("a", 0.2)), contains=golden(world, ("a", 0.2)))
    world.serve(x=good)
    assert world.tokens("x") == world.reference(("a", 0.2))


def test_a_prompt_longer_than_the_engine_takes_fails_with_the_engine_s_words(world: World) -> None:
    long = Verify(prompt="word " * 1600, max_tokens=1, contains="x")
    spec = world.spec(("b", 0.3)).model_copy(update={"verify": long})
    world.declare(DesiredAdapter(name="x", uid="x", serve=spec))
    found = world.until(lambda found: ("x", spec.revision, "Failed") in states(found))
    report = found.adapters[0].report(spec.revision)
    assert report is not None
    assert report.reason is Reason.LOAD_FAILED
    assert "it could not answer" in report.message
    world.serve()
