"""Pods that cannot run, on a real node: what the scheduler, the kubelet and vLLM say of it is in the LoRAModel's condition."""

from collections.abc import Iterator

import pytest

from e2e.conftest import Json, World, a_model

PATIENCE_SECONDS = 150.0
"""On a busy machine, for vLLM to end twice: it imports all that it has before it looks at a flag. The others take seconds."""
NOWHERE = "127.0.0.1:1/nobody/runtime:1"
"""An image of a registry that refuses every connection, at once and without leaving the node."""
TEBIBYTE = 1 << 40
RESTARTS = "{.status.containerStatuses[0].restartCount}"


def too_wide(model: Json) -> None:
    model["spec"]["resources"] = {"requests": {"cpu": "999"}}


def without_an_image(model: Json) -> None:
    [container] = model["spec"]["podTemplate"]["spec"]["containers"]
    # Here the chart has pods pull nothing: the images were loaded into the node.
    container.update({"image": NOWHERE, "imagePullPolicy": "Always"})


def too_small(model: Json) -> None:
    model["spec"]["resources"] = {"limits": {"memory": "64Mi"}}


def misspelled(model: Json) -> None:
    model["spec"]["engine"]["extraArgs"].append("--no-such-flag")


def too_greedy(model: Json) -> None:
    model["spec"]["engine"]["extraArgs"].append(f"--kv-cache-memory-bytes={TEBIBYTE}")


UNFIT = {
    "too-wide": too_wide,
    "without-an-image": without_an_image,
    "too-small": too_small,
    "misspelled": misspelled,
    "too-greedy": too_greedy,
}


@pytest.fixture(scope="module")
def unfit(world: World) -> Iterator[World]:
    """The world with all the models that have one pod, which cannot run, beside the one that serves."""
    world.apply(*(an_unfit_model(world, name) for name in UNFIT))
    try:
        yield world
    finally:
        world.kubectl("delete", "loramodel", "--ignore-not-found", "--wait", *UNFIT)
        world.until("their pods to be gone", lambda: not any(pods_of(world, name) for name in UNFIT))


def an_unfit_model(world: World, name: str) -> Json:
    made = a_model(world.folder, world.hub)
    made["metadata"]["name"] = name
    made["spec"]["replicas"] = 1
    UNFIT[name](made)
    return made


def pods_of(world: World, model: str) -> list[str]:
    return world.kubectl("get", "pods", "-l", f"lora-operator.io/model={model}", "-o", "name").split()


def says(world: World, model: str, reason: str, *words: str) -> None:
    """Waits until Ready and Available are False for this reason, and both messages have the pod's name and all the words."""
    last: list[Json] = []

    def is_said() -> bool:
        last[:] = [world.condition(model, kind, of="loramodel") for kind in ("Ready", "Available")]
        return all(
            (found.get("status"), found.get("reason")) == ("False", reason)
            and all(word in found["message"] for word in words)
            for found in last
        )

    try:
        world.until(f"{model} to say {reason} and {words}", is_said, PATIENCE_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"{error}\nand it says {last}") from None
    [pod] = pods_of(world, model)
    assert all(found["message"].startswith(f"pod {pod.removeprefix('pod/')}: ") for found in last)


def test_a_pod_that_no_node_has_room_for_is_named_with_the_schedulers_words(unfit: World) -> None:
    says(unfit, "too-wide", "Unschedulable", "0/1 nodes are available", "Insufficient cpu")


def test_a_pod_whose_image_cannot_be_pulled_is_named_with_the_image_and_what_became_of_the_connection(
    unfit: World,
) -> None:
    says(unfit, "without-an-image", "ImagePullFailed", "container runtime", NOWHERE, "connection refused")


def test_a_pod_that_the_kernel_ends_for_its_memory_is_named_with_the_limit_as_what_to_raise(unfit: World) -> None:
    says(unfit, "too-small", "OutOfMemory", "more memory than its limit", "raise spec.resources")


def test_a_pod_with_a_flag_that_vllm_does_not_know_is_named_with_vllms_last_words(unfit: World) -> None:
    says(unfit, "misspelled", "EngineCrashing", "exit code 2", "unrecognized arguments: --no-such-flag")


def test_a_pod_whose_engine_asks_for_more_memory_than_there_is_is_named_with_what_to_decrease(unfit: World) -> None:
    says(unfit, "too-greedy", "EngineCrashing", "1024.0 GiB", "Decrease --kv-cache-memory-bytes")


def test_a_pod_that_ends_again_and_again_is_named_with_how_often(unfit: World) -> None:
    def is_counted() -> bool:
        restarts = unfit.kubectl("get", *pods_of(unfit, "too-small"), "-o", f"jsonpath={RESTARTS}")
        said = unfit.condition("too-small", "Ready", of="loramodel").get("message", "")
        return int(restarts or 0) >= 2 and f"(restarts: {restarts})" in said

    unfit.until("the message to count two restarts, or more", is_counted, PATIENCE_SECONDS)
