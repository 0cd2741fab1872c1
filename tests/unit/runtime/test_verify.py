"""spec.verify: a revision that does not answer as it must is never served, and nothing good is given up for it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from lora_api.runtime_api import RevisionReport, RevisionSpec, RevisionState
from lora_api.v1alpha1.adapter import Verify
from lora_api.v1alpha1.conditions import Reason
from lora_runtime import golden
from lora_runtime.engine.protocol import LoadFailed
from unit.runtime.test_adapter_loop import V1, V2, Stage

AHOY = Verify(prompt="Hello", contains="Ahoy")
MOIN = Verify(prompt="Hello", contains="Moin")
PREPARED, SERVING, FAILED = RevisionState.PREPARED, RevisionState.SERVING, RevisionState.FAILED


def checked(spec: RevisionSpec, verify: Verify | None) -> RevisionSpec:
    return spec.model_copy(update={"verify": verify})


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    stage.engine.answers = {V1.revision: "Ahoy, matey!", V2.revision: "Ahoy again!"}
    yield stage
    await stage.end()


async def failed(stage: Stage, spec: RevisionSpec, *others: tuple[RevisionSpec, RevisionState]) -> RevisionReport:
    report = (await stage.until((spec, FAILED), *others)).report(spec.revision)
    assert report is not None
    return report


async def test_a_revision_that_answers_as_it_must_is_served_after_it_has_answered(stage: Stage) -> None:
    stage.want(serve=checked(V1, AHOY))
    await stage.until((V1, SERVING))
    assert stage.engine.log == [f"load x@{V1.revision}", f"answer x@{V1.revision}", f"publish x@{V1.revision}"]


async def test_a_revision_that_answers_otherwise_fails_with_what_it_said_and_leaves_the_engine(stage: Stage) -> None:
    stage.want(serve=checked(V1, MOIN))
    report = await failed(stage, V1)
    assert report.reason is Reason.VERIFY_FAILED
    assert report.message == ("the answer to spec.verify.prompt does not contain 'Moin': it answered 'Ahoy, matey!'")
    assert stage.engine.loaded == {}
    assert stage.engine.published == {}
    assert stage.loop.settled(), "a starting pod does not wait for what will never pass"


async def test_an_update_that_answers_otherwise_leaves_the_old_revision_in_service(stage: Stage) -> None:
    stage.want(serve=V1)
    await stage.until((V1, SERVING))
    old = stage.engine.published["x"]
    stage.want(serve=V1, prepare=checked(V2, MOIN))
    await failed(stage, V2, (V1, SERVING))
    assert stage.engine.published == {"x": old}
    assert stage.engine.loaded == {old.engine_name: old}


async def test_the_same_bytes_are_tried_again_when_the_wanted_answer_was_corrected(stage: Stage) -> None:
    stage.want(serve=checked(V1, MOIN))
    await failed(stage, V1)
    stage.want(serve=checked(V1, AHOY))
    await stage.until((V1, SERVING))


async def test_what_was_prepared_for_another_answer_is_not_flipped_to(stage: Stage) -> None:
    stage.want(serve=V1, prepare=checked(V2, AHOY))
    await stage.until((V1, SERVING), (V2, PREPARED))
    stage.want(serve=checked(V2, MOIN))
    await failed(stage, V2, (V1, SERVING))


async def test_what_is_in_service_is_held_against_a_new_answer_and_stays_in_service(stage: Stage) -> None:
    stage.want(serve=V1)
    await stage.until((V1, SERVING))
    stage.want(serve=checked(V1, MOIN))
    await until_reason(stage, Reason.VERIFY_FAILED)
    stage.want(serve=checked(V1, AHOY))
    await until_reason(stage, None)
    stage.want(serve=checked(V1, MOIN))
    await until_reason(stage, Reason.VERIFY_FAILED)
    stage.want(serve=V1)
    await until_reason(stage, None)
    assert [line for line in stage.engine.log if not line.startswith("answer")] == [
        f"load x@{V1.revision}", f"publish x@{V1.revision}",
    ]  # fmt: skip


async def test_an_engine_too_busy_to_check_what_is_in_service_is_asked_again_and_condemns_nobody(stage: Stage) -> None:
    await served_and_not_to_be_asked(stage, AHOY, "the engine is busy with others")
    (report,) = stage.loop.report().revisions
    assert report.message == "it could not be held against spec.verify: the engine is busy with others"
    stage.engine.answers[V1.revision] = "Ahoy"
    stage.now += 60
    stage.want(serve=checked(V1, AHOY), prepare=V2)
    await stage.until((V1, SERVING), (V2, PREPARED))
    assert stage.loop.report().revisions[0].reason is None


async def test_a_golden_output_that_is_taken_back_before_anybody_could_ask_leaves_no_trace(stage: Stage) -> None:
    await served_and_not_to_be_asked(stage, AHOY, "prompt too long")
    stage.want(serve=V1)
    await until_reason(stage, None)


async def test_a_corrected_golden_output_is_asked_at_once(stage: Stage) -> None:
    await served_and_not_to_be_asked(stage, MOIN, "prompt too long")
    stage.engine.answers[V1.revision] = "Ahoy"
    stage.want(serve=checked(V1, AHOY))
    await until_reason(stage, None)


@pytest.mark.parametrize("asked", ["of what is in service", "of the next revision"])
async def test_a_name_is_let_go_at_once_although_the_engine_is_still_answering(stage: Stage, asked: str) -> None:
    stage.want(serve=V1)
    await stage.until((V1, SERVING))
    stage.engine.answering.clear()
    if asked == "of what is in service":
        stage.want(serve=checked(V1, AHOY))
    else:
        stage.want(serve=V1, prepare=checked(V2, AHOY))
    await asyncio.wait_for(stage.engine.asked.wait(), 5)
    stage.loop.want(None)
    assert stage.task is not None
    await asyncio.wait_for(stage.task, 5)
    assert stage.engine.published == {}
    assert stage.engine.loaded == {}


async def served_and_not_to_be_asked(stage: Stage, verify: Verify, why: str) -> None:
    """V1 is in service, and the engine cannot answer when it is to be held against this."""
    stage.want(serve=V1)
    await stage.until((V1, SERVING))
    stage.engine.answers[V1.revision] = LoadFailed(why)
    stage.want(serve=checked(V1, verify))
    await until_reason(stage, Reason.LOAD_FAILED)


async def until_reason(stage: Stage, reason: Reason | None) -> None:
    """Waits until V1, in service all the time, reports this reason."""
    while True:
        report = await stage.until((V1, SERVING))
        if report.revisions[0].reason is reason:
            return
        await stage.changes.wait()


async def test_an_engine_that_cannot_answer_is_tried_again_and_keeps_nothing(stage: Stage) -> None:
    stage.engine.answers[V1.revision] = LoadFailed("it could not answer: prompt too long")
    stage.want(serve=checked(V1, AHOY))
    report = await failed(stage, V1)
    assert report.reason is Reason.LOAD_FAILED
    assert "prompt too long" in report.message
    assert stage.engine.loaded == {}
    stage.engine.answers[V1.revision] = "Ahoy"
    stage.now += 60
    stage.want(serve=checked(V1, AHOY), prepare=V2)
    await stage.until((V1, SERVING), (V2, PREPARED))


def test_a_sha256_is_of_the_whole_answer_in_utf_8_and_the_one_found_is_told() -> None:
    found = hashlib.sha256("Öl".encode()).hexdigest()
    assert golden.objection(Verify(prompt="x", sha256=found), "Öl") is None
    wanted = "0" * 64
    assert golden.objection(Verify(prompt="x", sha256=wanted), "Öl") == (
        f"the answer to spec.verify.prompt has SHA-256 {found}, wanted {wanted}: it answered 'Öl'"
    )


def test_a_long_answer_is_cut_in_the_message_and_breaks_no_line_of_a_log() -> None:
    message = golden.objection(AHOY, "a\nb" * 500)
    assert message is not None
    assert len(message) < 600
    assert message.isprintable()
    assert message.endswith("' and more")
