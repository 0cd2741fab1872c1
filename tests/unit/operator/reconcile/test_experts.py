"""Whom a change of an adapter concerns that belongs to another model, and that it is read anew then."""

from collections.abc import Mapping
from typing import Any

from lora_operator.clients.kube import Kube, Resource
from lora_operator.domain.observed import ModelKey, ObservedModel
from lora_operator.reconcile.experts import Experts
from lora_operator.reconcile.lately import Lately
from support.builders import a_model
from support.custom_resources import ADAPTER, MODEL, Manifest, mutated
from support.mixture_builders import BASE, a_mixture

KEY = ModelKey("team", "smol")


class ApiServer(Kube):
    """Has these objects, and writes down what it is asked."""

    def __init__(self, *objects: Manifest) -> None:
        self.objects = {(o["kind"], o["metadata"]["name"]): o for o in objects}
        self.asked: list[str] = []

    async def get(
        self, resource: Resource, namespace: str, name: str, *, metadata_only: bool = False
    ) -> dict[str, Any] | None:
        self.asked.append(f"{resource.kind}/{name}")
        return self.objects.get((resource.kind, name))


def stored(manifest: Mapping[str, Any], name: str, **changes: Any) -> Manifest:
    metadata = {
        "name": name, "namespace": "team", "uid": f"uid-{name}", "resourceVersion": "1",
        "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return mutated(manifest, {"metadata": metadata} | changes)


def of_plain(name: str, **changes: Any) -> Manifest:
    return stored(ADAPTER, name, **{"spec.modelRef.name": BASE} | changes)


ALL = of_plain("pirate"), of_plain("formal"), stored(MODEL, BASE)


async def names(experts: Experts, model: ObservedModel) -> list[str]:
    return sorted(await experts.of(KEY, model))


async def test_experts_come_with_the_model_that_serves_them_by_themselves() -> None:
    found = await Experts(ApiServer(*ALL), Lately()).of(KEY, a_mixture())

    assert {name: one.model and one.model.meta.name for name, one in found.items()} == {"pirate": BASE, "formal": BASE}


async def test_what_does_not_exist_or_is_being_deleted_is_left_out() -> None:
    leaving = of_plain("formal")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    assert await names(Experts(ApiServer(of_plain("pirate"), leaving), Lately()), a_mixture()) == ["pirate"]
    assert await names(Experts(ApiServer(), Lately()), a_mixture()) == []


async def test_they_are_read_once_until_one_of_them_or_their_model_changes() -> None:
    server = ApiServer(*ALL)
    experts = Experts(server, Lately())
    once = ["LoRAAdapter/formal", "LoRAAdapter/pirate", f"LoRAModel/{BASE}"]
    await experts.of(KEY, a_mixture())
    await experts.of(KEY, a_mixture())
    assert server.asked == once

    assert experts.concerned_by_adapter("team", "pirate") == (KEY,)
    await experts.of(KEY, a_mixture())
    assert experts.concerned_by_model("team", BASE) == (KEY,)
    await experts.of(KEY, a_mixture())
    assert server.asked == 3 * once


async def test_one_that_did_not_exist_concerns_the_mixture_when_it_comes() -> None:
    server = ApiServer(of_plain("pirate"), stored(MODEL, BASE))
    experts = Experts(server, Lately())
    assert await names(experts, a_mixture()) == ["pirate"]
    server.objects["LoRAAdapter", "formal"] = of_plain("formal")

    assert experts.concerned_by_adapter("team", "formal") == (KEY,)
    assert await names(experts, a_mixture()) == ["formal", "pirate"]


async def test_a_mixture_of_others_is_read_anew() -> None:
    experts = Experts(ApiServer(*ALL), Lately())
    await experts.of(KEY, a_mixture())

    assert await names(experts, a_mixture("formal")) == ["formal"]
    assert experts.concerned_by_adapter("team", "pirate") == ()


async def test_other_names_other_namespaces_and_plain_models_are_not_concerned() -> None:
    experts = Experts(ApiServer(*ALL), Lately())
    await experts.of(KEY, a_mixture())
    assert experts.concerned_by_adapter("team", "slang") == ()
    assert experts.concerned_by_adapter("elsewhere", "pirate") == ()

    await experts.of(KEY, a_model())
    assert experts.concerned_by_adapter("team", "pirate") == ()
    assert experts.concerned_by_model("team", BASE) == ()
