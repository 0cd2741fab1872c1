"""A pod whose model is a mixture: started from its document, and changed live under load; answers are held against PEFT."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from safetensors.torch import load_file, save_file

from lora_api.mixture_api import MixtureSpec, MixtureState
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.mixture import MixtureConfig
from support import mixtures
from support.mixture_pod import OTHER, SAME, MixturePod, agree, of_adapters, trained, untrained_in_peft, whose
from support.mixture_process import farthest
from support.models import tiny_adapter, tiny_base
from support.runtime_process import start_runtime

N = 12
DRAIN_SECONDS = 4.0
CLIENTS = 3
KEPT = 3
MODULES = ("q_proj", "v_proj", "down_proj")
TORN = "torn"


@dataclass(frozen=True)
class Place:
    """The pod, the mixtures in its volume by revision, and what PEFT answers with each, prompt by prompt."""

    pod: MixturePod
    specs: dict[str, MixtureSpec]
    prompts: tuple[tuple[int, ...], ...]
    expected: tuple[dict[str, mixtures.Answer], ...]

    def answers(self, revision: str) -> None:
        """Fails unless exactly this revision answers."""
        for prompt, expected in zip(self.prompts, self.expected, strict=True):
            assert whose(self.pod.complete(prompt, N), expected) == [revision]


FIRST, REORDERED, REPLACED, CLASSIFIER, WEIGHTED = "aaaaaaa1", "aaaaaaa2", "aaaaaaa3", "aaaaaaa4", "aaaaaaa5"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("mixture-pod")
    volumes = folder / "volumes"
    base = tiny_base(volumes / "models" / "base", initializer_range=mixtures.QUIET)
    shelf = volumes / "mixtures"
    experts = [tiny_adapter(shelf / f"e{n}", base, seed=n + 1, alpha=4, target_modules=MODULES) for n in range(4)]
    kept, weights = experts[:3], (2.0, 0.5, 1.0)
    models = {
        FIRST: mixtures.in_peft(base, kept, **mixtures.EVERY_OPTION),
        REORDERED: mixtures.in_peft(base, [kept[2], kept[0], kept[1]], **mixtures.EVERY_OPTION),
        REPLACED: mixtures.in_peft(base, [kept[0], experts[3], kept[2]], **mixtures.EVERY_OPTION),
        CLASSIFIER: mixtures.in_peft(base, kept, seed=6, **mixtures.EVERY_OPTION),
    }
    for revision, model in models.items():
        mixtures.save(model, shelf / revision)
    specs = {revision: trained(revision, revision) for revision in models}
    specs[WEIGHTED] = of_adapters(WEIGHTED, volumes, [(f"e{n}", weights[n]) for n in range(3)], seed=9)
    models[WEIGHTED] = untrained_in_peft(base, list(zip(kept, weights, strict=True)), 9, folder / "weighted")
    prompts = mixtures.prompts(4)[1:]
    expected = tuple({r: mixtures.answer(model, prompt, N) for r, model in models.items()} for prompt in prompts)
    _lose_the_classifier(mixtures.save(models[FIRST], shelf / "lost"))
    runtime = start_runtime(
        folder / "pod",
        volumes=volumes,
        mixture=True,
        environment={"LORA_DRAIN_SECONDS": str(DRAIN_SECONDS), "LORA_SCALINGS_KEPT": str(KEPT)},
    )
    pod = MixturePod(runtime, volumes)
    try:
        pod.until_the_admin_port_answers()
        pod.want(trained("bbbbbbb1", "lost"))
        failed = pod.until(lambda report: report.state is MixtureState.FAILED, 120)
        assert failed.reason is Reason.MALFORMED_ADAPTER, "the process is up and says why it has nothing to serve"
        assert "PEFT" in failed.message
        assert failed.serving is None
        pod.want(specs[FIRST])
        runtime.wait_until_ready()
        yield Place(pod, specs, prompts, expected)
        assert runtime.stop() == 0
    finally:
        pod.http.close()
        runtime.stop()


def _lose_the_classifier(checkpoint: Path) -> None:
    """As PEFT's own save_pretrained does."""
    file = checkpoint / "adapter_model.safetensors"
    save_file({k: v for k, v in load_file(file).items() if ".layers.0." not in k}, file)


def test_a_pod_answers_as_peft_does_and_tells_what_was_found(place: Place) -> None:
    report = place.pod.serve(place.specs[FIRST])
    place.answers(FIRST)
    assert (report.serving, report.experts, report.trained, report.layers) == (FIRST, ("e0", "e1", "e2"), True, 6)
    assert report.source == place.specs[FIRST].source, "a volume has no pin but the digest"
    assert report.digest is not None
    pinned = place.specs[FIRST].model_copy(update={"revision": "ccccccc1", "digest": report.digest})
    began = time.monotonic()
    assert place.pod.serve(pinned).serving == "ccccccc1", "the same mixture, now pinned, is the one that is there"
    assert time.monotonic() - began < DRAIN_SECONDS
    other = place.specs[REPLACED].model_copy(update={"revision": "ccccccc2", "digest": "sha256:" + "0" * 64})
    place.pod.want(other)
    refused = place.pod.until(lambda found: found.revision == "ccccccc2" and found.state is MixtureState.FAILED)
    assert refused.reason is Reason.DIGEST_MISMATCH
    assert refused.serving == "ccccccc1"


def test_clients_see_one_model_and_no_adapters(place: Place) -> None:
    pod = place.pod
    assert [card["id"] for card in pod.http.get(f"{pod.runtime.url}/v1/models").json()["data"]] == ["base"]
    for name in ("pirate", ""):
        unknown = pod.post("/v1/completions", {"model": name, "prompt": "a", "max_tokens": 1})
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "NotFound")
        assert "Served here: base" in unknown.json()["error"]["message"]
    for extra in ({"lora": {"weight": 2}}, {"prompt_to_adapter_mapping": ["base"]}):
        refused = pod.post("/v1/completions", {"model": "base", "prompt": "a", "max_tokens": 1, **extra})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "Invalid")
    generated = pod.post("/generate", {"inputs": "a", "parameters": {"max_new_tokens": 3}})
    assert generated.status_code == 200, generated.text
    many = pod.post("/v1/completions", {"model": "base", "prompt": ["a", "b"], "max_tokens": 1})
    assert len(many.json()["choices"]) == 2
    assert 'lora_runtime_requests_total{adapter="base",outcome="ok"}' in pod.http.get(f"{pod.runtime.url}/metrics").text


def test_every_change_under_load_loses_no_request_and_tears_no_answer(place: Place) -> None:
    place.pod.serve(place.specs[FIRST])
    ended = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as clients:
        loads = [clients.submit(_ask_until, ended, place, number) for number in range(CLIENTS)]
        try:
            for revision in (REORDERED, WEIGHTED, REPLACED, CLASSIFIER, FIRST, WEIGHTED, FIRST):
                place.pod.serve(place.specs[revision])
                time.sleep(0.5)  # traffic on it
        finally:
            ended.set()
        seen = sum((load.result(60) for load in loads), Counter[str]())
    assert seen.pop(TORN, 0) == 0, seen
    assert set(seen) == set(place.specs), seen
    assert place.pod.runtime.inventory().mixture is not None
    place.answers(FIRST)


def _ask_until(ended: threading.Event, place: Place, number: int) -> Counter[str]:
    """By revision, how many answers were its own; those of none or of several are torn. A request that fails raises."""
    seen: Counter[str] = Counter()
    turn = number
    with httpx.Client(timeout=60) as client:
        while not ended.is_set():
            turn += 1
            which = turn % len(place.prompts)
            found = whose(place.pod.complete(place.prompts[which], N, client), place.expected[which])
            seen[found[0] if len(found) == 1 else TORN] += 1
    return seen


def test_revisions_differ_by_more_than_the_test_can_miss(place: Place) -> None:
    for expected in place.expected:
        for one in expected.values():
            others = [float((one.logprobs[0] - other.logprobs[0]).abs().max()) for other in expected.values()]
            assert sorted(others)[1] > OTHER > 100 * SAME


def test_another_shape_waits_for_a_new_pod_and_a_broken_one_for_its_author(place: Place) -> None:
    pod = place.pod
    pod.serve(place.specs[FIRST])
    hotter = place.specs[FIRST].model_copy(
        update={"revision": "ddddddd1", "config": MixtureConfig(softmax_temperature=2.0)}
    )
    pod.want(hotter)
    told = pod.until(lambda report: report.revision == "ddddddd1" and report.state is MixtureState.NEEDS_RESTART)
    assert "softmax_temperature from 0.7 to 2.0" in told.message
    assert told.serving == FIRST
    pod.want(trained("ddddddd2", "lost"))
    told = pod.until(lambda report: report.revision == "ddddddd2" and report.state is MixtureState.FAILED)
    assert (told.reason, told.serving) == (Reason.MALFORMED_ADAPTER, FIRST)
    place.answers(FIRST)


def test_a_request_that_does_not_end_holds_a_change_back_and_no_other_request(place: Place) -> None:
    pod, prompt, expected = place.pod, place.prompts[0], place.expected[0]
    pod.serve(place.specs[FIRST])
    with ThreadPoolExecutor(2) as clients:
        with pod.runtime.engine_held():
            before = clients.submit(pod.complete, prompt, N)
            time.sleep(1)  # it is on its way to the engine
            pod.want(place.specs[REORDERED])
            pod.until(lambda report: report.state is MixtureState.DRAINING)
            during = clients.submit(pod.complete, prompt, N)
            told = pod.until(lambda report: report.state is MixtureState.FAILED)
            assert told.reason is Reason.UPDATE_HELD
            assert told.serving == FIRST
        assert whose(before.result(60), expected) == [FIRST]
        assert whose(during.result(60), expected) == [FIRST], "it waited no longer than the drain"
    assert farthest(pod.complete(prompt, N), expected[FIRST]) < SAME
    pod.serve(place.specs[CLASSIFIER])
    place.answers(CLASSIFIER)


def test_the_scalings_of_an_answer_are_those_that_peft_computes(place: Place) -> None:
    pod = place.pod
    pod.serve(place.specs[FIRST])
    ids = []
    for turn in (0, 1, 2, 0):
        # the last one finds its prompt in the prefix cache
        answer = pod.post("/v1/completions", pod.completion(place.prompts[turn], N)).raise_for_status().json()
        ids.append(answer["id"])
        [told] = pod.scalings(answer["id"])["generations"]
        agree(told, place.expected[turn][FIRST], len(place.prompts[turn]))
    for request_id in ids[-KEPT:]:
        assert pod.scalings(request_id)["id"] == request_id
    forgotten = pod.http.get(f"{pod.runtime.url}/v1/xlora/scalings/{ids[0]}")
    assert (forgotten.status_code, forgotten.json()["error"]["code"]) == (404, "NotFound")
    assert "keeps the scalings of the last 3" in forgotten.json()["error"]["message"]


def test_scalings_of_several_prompts_at_once_and_of_a_stream_are_found_by_the_id_that_the_client_chose(
    place: Place,
) -> None:
    pod = place.pod
    pod.serve(place.specs[FIRST])
    body = {**pod.completion(place.prompts[0], N), "prompt": [list(prompt) for prompt in place.prompts[:2]]}
    pod.post("/v1/completions", body, {"X-Request-Id": "mine-1"})
    found = pod.scalings("mine-1")
    assert len(found["generations"]) == 2
    for number, generation in enumerate(found["generations"]):
        agree(generation, place.expected[number][FIRST], len(place.prompts[number]))
    pod.post("/v1/completions", {**pod.completion(place.prompts[2], N), "stream": True}, {"X-Request-Id": "mine-2"})
    [told] = pod.scalings("mine-2")["generations"]
    agree(told, place.expected[2][FIRST], len(place.prompts[2]))
