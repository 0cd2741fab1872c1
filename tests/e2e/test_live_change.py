"""Weights, sources, blends and membership change while the pods serve; no pod is restarted."""

import json

import httpx

from e2e.conftest import MODEL, PROMPT, REPLICAS, World, a_blend, an_adapter
from support.event_stream import lines_of


def serves(world: World, name: str, *parts: tuple[str, float]) -> None:
    """Every pod answers as PEFT does with these adapters at these weights."""
    expected = world.reference(*parts)
    assert {pod: world.tokens(name, pod=pod) == expected for pod in world.pod_ips()} == dict.fromkeys(
        world.pod_ips(), True
    )


def test_declared_adapters_are_served_by_every_pod_as_peft_computes_them(clean: World) -> None:
    clean.apply(an_adapter("a", "a"), an_adapter("b", "b", weight=0.5))
    clean.apply(a_blend("mix", [("a", 0.7), ("b", 0.5)]))
    clean.ready("a", "b", "mix")
    serves(clean, "a", ("a", 1.0))
    serves(clean, "b", ("b", 0.5))
    serves(clean, "mix", ("a", 0.7), ("b", 0.25))
    columns = clean.kubectl("get", "loraadapters", "mix").splitlines()
    assert columns[0].split() == ["NAME", "MODEL", "WEIGHT", "REVISION", "LOADED", "READY", "REASON", "AGE"]
    assert columns[1].split()[:3] == ["mix", MODEL, "1"]
    assert columns[1].split()[4:7] == [f"{REPLICAS}/{REPLICAS}", "True", "Serving"]


def test_a_patched_weight_is_served_by_the_very_next_requests_and_streams_under_way_are_not_touched(
    clean: World,
) -> None:
    clean.apply(an_adapter("a", "a"))
    clean.ready("a")
    restarts, revision = clean.restarts(), clean.get("loraadapter", "a")["status"]["revision"]
    url = f"http://{clean.service_ip()}:8000/v1/completions"
    body = {"model": "a", "prompt": list(PROMPT), "max_tokens": 400, "temperature": 0, "ignore_eos": True}
    undisturbed = httpx.post(url, json=body, timeout=120).json()["choices"][0]["text"]

    with clean.watching("a") as seen, httpx.stream("POST", url, json=body | {"stream": True}, timeout=120) as stream:
        lines = (line for line in lines_of(stream) if line.startswith("data: {"))
        pieces = [_text(next(lines))]
        clean.patch("a", {"weight": 0.4})
        clean.ready("a")
        serves(clean, "a", ("a", 0.4))
        pieces += [_text(line) for line in lines]

    assert "".join(pieces) == undisturbed
    assert clean.restarts() == restarts
    status = clean.get("loraadapter", "a")["status"]
    assert status["revision"] != revision
    after_the_patch = [readiness for generation, readiness in seen if generation == "2"]
    assert after_the_patch[0].startswith("True 1"), "the old generation's, until it is known how the new one fares"
    # a change that takes no longer than a moment is told once, when it has arrived
    assert [said for said in dict.fromkeys(after_the_patch[1:]) if said != "False 2"] in (
        ["True 2"],
        ["True 1", "True 2"],
    )


def test_a_changed_source_replaces_the_weights(clean: World) -> None:
    clean.apply(an_adapter("a", "a"))
    clean.ready("a")
    clean.adapter_files("a2", seed=9)
    clean.patch("a", {"source": {"volume": {"name": "adapters", "path": "a2"}}})
    clean.ready("a")
    serves(clean, "a", ("a2", 1.0))


def test_a_blend_follows_its_members_and_its_membership(clean: World) -> None:
    clean.apply(an_adapter("a", "a"), an_adapter("b", "b"), a_blend("mix", [("a", 0.7), ("b", 0.5)]))
    clean.ready("mix")
    before = clean.get("loraadapter", "mix")["status"]["revision"]
    clean.patch("a", {"weight": 0.5})
    clean.until("the blend to follow", lambda: clean.get("loraadapter", "mix")["status"]["revision"] != before)
    clean.ready("mix")
    serves(clean, "mix", ("a", 0.35), ("b", 0.5))
    clean.patch("mix", {"blend": {"members": [{"adapterRef": {"name": "b"}, "weight": -0.5}]}})
    clean.ready("mix")
    serves(clean, "mix", ("b", -0.5))


def test_a_deleted_adapter_is_404_on_every_pod_and_comes_back_with_other_bytes(clean: World) -> None:
    clean.apply(an_adapter("a", "a"))
    clean.ready("a")
    clean.delete("a")
    clean.until(
        "404 on every pod", lambda: all(clean.complete("a", pod=pod).status_code == 404 for pod in clean.pod_ips())
    )
    clean.apply(an_adapter("a", "b"))
    clean.ready("a")
    serves(clean, "a", ("b", 1.0))


def test_two_adapters_may_swap_their_names(clean: World) -> None:
    clean.apply(an_adapter("one", "a", servedName="left"), an_adapter("two", "b", servedName="right"))
    clean.ready("one", "two")
    clean.apply(an_adapter("one", "a", servedName="right"), an_adapter("two", "b", servedName="left"))
    clean.ready("one", "two")
    serves(clean, "left", ("b", 1.0))
    serves(clean, "right", ("a", 1.0))


def _text(line: str) -> str:
    return str(json.loads(line.removeprefix("data: "))["choices"][0]["text"])
