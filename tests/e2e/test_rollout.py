"""Pods are replaced, added and taken away while clients ask: nobody is left without a whole answer."""

import threading

import httpx

from e2e.conftest import MODEL, PROMPT, READY_SECONDS, REPLICAS, World, an_adapter
from e2e.load import Load, streamed, text_of

LONG = {"model": "a", "prompt": list(PROMPT), "max_tokens": 450, "temperature": 0, "ignore_eos": True}
LEAST_ANSWERS = 1000
"""Fewer were hardly a load. Two busy cores gave six times as many."""


def test_nothing_is_dropped_when_a_changed_model_rolls_its_pods_and_when_it_is_scaled_up_and_down(clean: World) -> None:
    clean.apply(an_adapter("a", "a"))
    clean.ready("a")
    load = Load.of(clean, "a")
    before = set(clean.restarts())
    with load.running():
        clean.kubectl("patch", "loramodel", MODEL, "--type=merge", "-p", '{"spec":{"adapters":{"maxCached":17}}}')
        clean.until(
            "two new pods", lambda: not before & set(clean.restarts()) and clean.all_pods_ready(), 2 * READY_SECONDS
        )
        stayed = set(clean.restarts())
        scale(clean, REPLICAS + 1)
        clean.until("a third pod", lambda: clean.all_pods_ready(REPLICAS + 1), READY_SECONDS)
        [leaving] = set(clean.restarts()) - stayed
        goes_and_answers_to_the_end(clean, leaving)
    assert len(load.answers) > LEAST_ANSWERS
    clean.until("the two again", lambda: clean.all_pods_ready() and set(clean.restarts()) == stayed)
    clean.ready("a")


def goes_and_answers_to_the_end(world: World, pod: str) -> None:
    """Scales a pod away while it streams: first it leaves the Service, then it takes no more, and the stream ends whole."""
    ip = world.pod_ips()[pod]
    url = f"http://{ip}:8000/v1/completions"
    whole = text_of(url, "a", int(str(LONG["max_tokens"])))
    heard: list[str] = []

    def listen() -> None:
        with httpx.Client(timeout=120) as client:
            heard.append(streamed(client, url, LONG))

    world.kubectl("annotate", "pod", pod, "controller.kubernetes.io/pod-deletion-cost=-1")
    listener = threading.Thread(target=listen)
    listener.start()
    scale(world, REPLICAS)
    world.until("the Service to forget the pod", lambda: ip not in endpoints(world))
    assert text_of(url, "a", 1), "who has not heard of it yet is answered"
    world.until("the pod to take no more", lambda: not accepts(url))
    listener.join(120)
    assert heard == [whole]


def scale(world: World, replicas: int) -> None:
    world.kubectl("scale", "loramodel", MODEL, f"--replicas={replicas}")


def endpoints(world: World) -> set[str]:
    """Addresses that new connections to the Service are led to."""
    ready = "{range .items[*].endpoints[?(@.conditions.ready==true)]}{.addresses[0]} {end}"
    return set(
        world.kubectl("get", "endpointslices", f"-lkubernetes.io/service-name={MODEL}", f"-ojsonpath={ready}").split()
    )


def accepts(url: str) -> bool:
    try:
        httpx.get(url, timeout=5)
    except httpx.ConnectError:
        return False
    return True
