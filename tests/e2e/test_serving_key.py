"""Keys of a model's clients, from a Secret that the kubelet mounts: they are replaced while clients ask, and no pod restarts."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from e2e.conftest import NAMESPACE, PROMPT, READY_SECONDS, World, a_model, an_adapter

KEYED = "keyed"
ADAPTER = "for-clients"
SECRET = "clients"
_PAUSE_SECONDS = 0.02
KUBELET_SECONDS = 120.0
"""What the documentation says to wait until pods have a changed Secret."""
PODS = '{range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount}{"\\n"}{end}'


@pytest.fixture(scope="module")
def keyed(world: World) -> Iterator[World]:
    """The world with a model that asks for keys, and an adapter of it; the Secret is missing."""
    model = a_model(world.folder, world.hub)
    model["metadata"]["name"] = KEYED
    model["spec"] |= {"replicas": 1, "apiKey": {"secretRef": {"name": SECRET}}}
    world.apply(model, an_adapter(ADAPTER, "a", modelRef={"name": KEYED}))
    try:
        world.kubectl("wait", "--for=condition=Ready", f"loramodel/{KEYED}", f"--timeout={READY_SECONDS:.0f}s")
        world.ready(ADAPTER)
        yield world
    finally:
        world.delete(ADAPTER)
        world.kubectl("delete", "--ignore-not-found", f"loramodel/{KEYED}", f"secret/{SECRET}")
        world.until("its pods to be gone", lambda: pods(world) == "", READY_SECONDS)


def test_a_key_is_replaced_through_its_secret_while_clients_ask_and_no_pod_restarts(keyed: World) -> None:
    url = f"http://{keyed.kubectl('get', 'service', KEYED, '-o', 'jsonpath={.spec.clusterIP}')}:8000/v1/completions"
    before = pods(keyed)
    assert statuses(url, None, "old") == [401, 401], "nobody gets in while the Secret is missing"
    list_keys(keyed, "old")
    keyed.until("the Secret to be noticed", lambda: statuses(url, "old") == [200], KUBELET_SECONDS)
    assert statuses(url, None, "new") == [401, 401]

    clients = Clients(url, key="old")
    with clients.asking():
        keyed.until("every client to be let in", clients.have_all_answers_since(0))
        list_keys(keyed, "old", "new")
        keyed.until("the new key to let in", lambda: statuses(url, "new") == [200], KUBELET_SECONDS)
        assert statuses(url, "old") == [200]
        clients.key = "new"
        keyed.until("every client to have gone over", clients.have_all_answers_since(len(clients.answers)))
        list_keys(keyed, "new")
        keyed.until("the old key to be refused", lambda: statuses(url, "old") == [401], KUBELET_SECONDS)
        keyed.until("every client to be let in still", clients.have_all_answers_since(len(clients.answers)))

    assert clients.refused == []
    assert statuses(url, None, "old", "new") == [401, 401, 200]
    assert pods(keyed) == before


@dataclass
class Clients:
    """Who asks again and again, every other one on a connection that it keeps, each time with the key of that moment."""

    url: str
    key: str
    many: int = 4
    answers: list[tuple[int, str]] = field(default_factory=list)
    """Of which client, and the key that it showed."""
    refused: list[str] = field(default_factory=list)

    @contextmanager
    def asking(self) -> Iterator[None]:
        over = threading.Event()
        threads = [threading.Thread(target=self._ask_on, args=(client, over)) for client in range(self.many)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join(60)

    def have_all_answers_since(self, place: int) -> Callable[[], bool]:
        """Whether each of them has been answered since, with the key of now."""
        return lambda: {client for client, key in self.answers[place:] if key == self.key} == set(range(self.many))

    def _ask_on(self, client: int, over: threading.Event) -> None:
        headers = {"Connection": "close"} if client % 2 else {}
        with httpx.Client(headers=headers, timeout=60) as http:
            while not over.wait(_PAUSE_SECONDS):
                key = self.key
                try:
                    ask(http, self.url, key).raise_for_status()
                except httpx.HTTPError as error:
                    self.refused.append(f"client {client} with the {key} key: {error!r}")
                else:
                    self.answers.append((client, key))


def ask(http: httpx.Client, url: str, key: str | None) -> httpx.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    body = {"model": ADAPTER, "prompt": list(PROMPT), "max_tokens": 1, "temperature": 0}
    return http.post(url, json=body, headers=headers)


def statuses(url: str, *keys: str | None) -> list[int]:
    """What who shows each of these keys, or none, is answered with."""
    with httpx.Client(timeout=60) as http:
        return [ask(http, url, key).status_code for key in keys]


def list_keys(world: World, *keys: str) -> None:
    world.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": NAMESPACE},
            "stringData": {"api-key": "# of the clients\n" + "\n".join(keys)},
        }
    )


def pods(world: World) -> str:
    """Which pods the model has, and how often their containers were restarted."""
    return world.kubectl("get", "pods", "-l", f"lora-operator.io/model={KEYED}", "-o", f"jsonpath={PODS}")
