"""Pods are replaced, added and taken away while clients ask: nobody is left without a whole answer."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

import httpx

from e2e.conftest import MODEL, PROMPT, READY_SECONDS, REPLICAS, World, an_adapter
from e2e.load import Load, streamed, text_of

LONG = {"model": "a", "prompt": list(PROMPT), "max_tokens": 450, "temperature": 0, "ignore_eos": True}
FORGOTTEN_SECONDS = 5
"""A pod that is to end takes what comes for so long. Two less count as well: a busy node is slow to answer."""
_STREAM_EVERY_SECONDS = 1
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


class Going:
    """What clients get from a pod that is going. Any of them may come with a new connection: they have not heard of it."""

    def __init__(self, url: str, pool: ThreadPoolExecutor) -> None:
        self._url = url
        self._pool = pool
        self._streams: list[Future[str | None]] = []
        self._stream_due = 0.0
        self.took_at = 0.0
        """When it last answered on a new connection: the wall's time, since the API server's is compared with it."""

    def takes_more(self) -> bool:
        """Whether it answers on a new connection; now and then, a stream is begun on another one."""
        asked = time.time()
        try:
            httpx.get(self._url, timeout=20)
        except httpx.TransportError:
            return False
        self.took_at = asked
        if asked >= self._stream_due:
            self._stream_due = asked + _STREAM_EVERY_SECONDS
            self._streams.append(self._pool.submit(self._listen))
        return True

    def heard(self) -> list[str]:
        """The end of every stream that it took."""
        ends = [stream.result(120) for stream in self._streams]
        return [end for end in ends if end is not None]

    def _listen(self) -> str | None:
        """The text, or how the stream was cut; None if it was never taken: it came just as the pod closed its door."""
        taken = threading.Event()
        with httpx.Client(timeout=120, event_hooks={"response": [lambda _: taken.set()]}) as client:
            try:
                return streamed(client, self._url, LONG)
            except (httpx.TransportError, ValueError, KeyError) as error:
                return repr(error) if taken.is_set() else None


def goes_and_answers_to_the_end(world: World, pod: str) -> None:
    """Scales a pod away: first it leaves the Service, for some seconds it takes what comes, and all that it took ends whole."""
    ip = world.pod_ips()[pod]
    url = f"http://{ip}:8000/v1/completions"
    whole = text_of(url, "a", int(str(LONG["max_tokens"])))
    world.kubectl("annotate", "pod", pod, "controller.kubernetes.io/pod-deletion-cost=-1")
    with ThreadPoolExecutor(max_workers=32) as pool:
        going = Going(url, pool)
        scale(world, REPLICAS)
        world.until("the Service to forget the pod", lambda: ip not in endpoints(world))
        assert going.takes_more(), "who has not heard of it yet is answered"
        since = deletion_began(world, pod)
        world.until("the pod to take no more", lambda: not going.takes_more())
        assert going.took_at - since > FORGOTTEN_SECONDS - 2, "until everybody has heard of it, it takes what comes"
        heard = going.heard()
    assert heard == [whole] * len(heard)
    assert len(heard) > 1, "fewer show nothing"


def deletion_began(world: World, pod: str) -> float:
    """When its deletion was asked for; cut down to a second."""
    asked = world.get("pod", pod)["metadata"]
    ends = datetime.fromisoformat(asked["deletionTimestamp"]).timestamp()
    return ends - float(asked["deletionGracePeriodSeconds"])


def scale(world: World, replicas: int) -> None:
    world.kubectl("scale", "loramodel", MODEL, f"--replicas={replicas}")


def endpoints(world: World) -> set[str]:
    """Addresses that new connections to the Service are led to."""
    ready = "{range .items[*].endpoints[?(@.conditions.ready==true)]}{.addresses[0]} {end}"
    return set(
        world.kubectl("get", "endpointslices", f"-lkubernetes.io/service-name={MODEL}", f"-ojsonpath={ready}").split()
    )
