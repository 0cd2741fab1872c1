"""What is known of LoRAAdapters without asking, and what is asked before anything is given up."""

from collections.abc import Mapping
from typing import Any

from lora_operator.clients.kube import Kube, Listing, Resource
from lora_operator.domain.observed import ModelKey
from lora_operator.reconcile.adapters import Adapters
from lora_operator.reconcile.freshness import Freshness
from support.custom_resources import ADAPTER, mutated

KEY = ModelKey("team", "smol")
Object = Mapping[str, Any]


def stored(name: str, version: int, *, uid: str = "", weight: float = 1.0, generation: int = 1) -> dict[str, Any]:
    """A LoRAAdapter as the API server tells it."""
    metadata = {
        "name": name, "namespace": "team", "uid": uid or f"uid-{name}", "resourceVersion": str(version),
        "generation": generation, "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return mutated(ADAPTER, {"metadata": metadata, "spec.weight": weight})


class ApiServer(Kube):
    """Has what the test says, and writes down what it is asked."""

    def __init__(self, *objects: Object, version: int = 10) -> None:
        self.objects, self.version = {o["metadata"]["name"]: dict(o) for o in objects}, version
        self.asked: list[str] = []

    async def get(
        self, resource: Resource, namespace: str, name: str, *, metadata_only: bool = False
    ) -> dict[str, Any] | None:
        self.asked.append(name)
        return self.objects.get(name)

    async def list(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        labels: str | None = None,
        fields: str | None = None,
        not_older_than: str | None = None,
        metadata_only: bool = False,
    ) -> Listing:
        self.asked.append("all")
        return self.all()

    def all(self) -> Listing:
        return Listing(list(self.objects.values()), str(self.version))


def known_to(server: ApiServer) -> Adapters:
    return Adapters(server, Freshness())


async def names(adapters: Adapters) -> list[str]:
    return sorted(adapter.meta.name for adapter in await adapters.of(KEY))


async def test_a_model_is_listed_once_and_then_followed_by_events() -> None:
    server = ApiServer(stored("a", 3))
    adapters = known_to(server)
    assert await names(adapters) == ["a"]
    adapters.seen(stored("b", 11), "ADDED")
    adapters.seen(stored("a", 12, weight=0.5, generation=2), "MODIFIED")
    assert await names(adapters) == ["a", "b"]
    [a] = [adapter for adapter in await adapters.of(KEY) if adapter.meta.name == "a"]
    assert a.spec.weight == 0.5
    assert server.asked == ["all"]


async def test_what_did_not_change_is_the_same_object() -> None:
    adapters = known_to(ApiServer(stored("a", 3), stored("b", 4)))
    before = {adapter.meta.name: adapter for adapter in await adapters.of(KEY)}
    adapters.seen(stored("b", 12), "MODIFIED")
    after = {adapter.meta.name: adapter for adapter in await adapters.of(KEY)}
    assert after["a"] is before["a"]
    assert after["b"] is not before["b"]
    assert after["b"].spec is before["b"].spec, "of the same generation"


async def test_all_together_are_the_same_object_until_one_is_another() -> None:
    adapters = known_to(ApiServer(stored("a", 3), stored("b", 4)))
    before = await adapters.of(KEY)
    assert await adapters.of(KEY) is before
    adapters.seen(stored("b", 4), "MODIFIED")
    assert await adapters.of(KEY) is before, "it is known in this version"
    for version, kind in ((12, "MODIFIED"), (13, "DELETED")):
        adapters.seen(stored("b", version), kind)
        after = await adapters.of(KEY)
        assert after is not before
        before = after


async def test_there_is_nothing_to_look_at_in_what_is_known() -> None:
    adapters = known_to(ApiServer(stored("a", 3)))
    await adapters.of(KEY)
    adapters.written(KEY, stored("a", 12))
    assert not adapters.seen(stored("a", 12), "MODIFIED"), "the event of the operator's own write"
    assert adapters.seen(stored("a", 13), "MODIFIED")
    assert adapters.seen(stored("a", 14), "DELETED")
    assert not adapters.seen(stored("a", 14), "DELETED")


async def test_a_watch_that_begins_anew_is_a_reason_to_look() -> None:
    adapters = known_to(ApiServer())
    assert adapters.seen(stored("a", 3), None)
    assert adapters.seen(stored("a", 3), None), "others may have gone meanwhile"


async def test_a_deletion_is_made_sure_of_before_anything_is_given_up() -> None:
    server = ApiServer(stored("a", 3), stored("b", 4))
    adapters = known_to(server)
    await adapters.of(KEY)
    del server.objects["a"]
    adapters.seen(stored("a", 13), "DELETED")
    assert await names(adapters) == ["b"]
    assert server.asked == ["all", "a"]
    await adapters.of(KEY)
    assert server.asked == ["all", "a"], "once is enough"


async def test_what_an_event_calls_deleted_and_is_there_stays() -> None:
    server = ApiServer(stored("a", 3))
    adapters = known_to(server)
    await adapters.of(KEY)
    adapters.seen(stored("a", 13), "DELETED")
    assert await names(adapters) == ["a"]


async def test_another_object_of_the_name_does_not_keep_the_deleted_one() -> None:
    server = ApiServer(stored("a", 3))
    adapters = known_to(server)
    await adapters.of(KEY)
    server.objects["a"] = stored("a", 14, uid="another")
    adapters.seen(stored("a", 13), "DELETED")
    adapters.seen(stored("a", 14, uid="another"), "ADDED")
    assert [adapter.meta.uid for adapter in await adapters.of(KEY)] == ["another"]


async def test_many_deletions_are_made_sure_of_by_one_list() -> None:
    many = [stored(f"a{number}", number) for number in range(1, 50)]
    server = ApiServer(*many, version=50)
    adapters = known_to(server)
    await adapters.of(KEY)
    server.objects.clear()
    for one in many:
        adapters.seen(one, "DELETED")
    assert await names(adapters) == []
    assert server.asked == ["all", "all"]


async def test_an_older_event_or_answer_changes_nothing() -> None:
    adapters = known_to(ApiServer(stored("a", 9, weight=0.5)))
    await adapters.of(KEY)
    adapters.seen(stored("a", 8), "MODIFIED")
    adapters.written(KEY, stored("a", 8))
    assert [adapter.spec.weight for adapter in await adapters.of(KEY)] == [0.5]


async def test_the_answer_to_a_write_does_not_bring_back_what_was_deleted() -> None:
    server = ApiServer(stored("a", 3))
    adapters = known_to(server)
    await adapters.of(KEY)
    server.objects.clear()
    adapters.seen(stored("a", 13), "DELETED")
    adapters.written(KEY, stored("a", 12))
    adapters.seen(stored("a", 12), "MODIFIED")
    assert await names(adapters) == []


async def test_the_sweep_finds_what_events_did_not_tell() -> None:
    server = ApiServer(stored("a", 3), stored("b", 4))
    adapters = known_to(server)
    await adapters.of(KEY)
    assert adapters.hold_against(server.all(), None, adapters.newest) == set()
    del server.objects["a"]
    server.objects["c"] = stored("c", 15)
    server.version = 20
    assert adapters.hold_against(server.all(), None, adapters.newest) == {KEY}
    assert await names(adapters) == ["b", "c"]


async def test_what_came_while_a_list_was_under_way_is_not_lost_to_it() -> None:
    server = ApiServer(stored("a", 3))
    adapters = known_to(server)
    await adapters.of(KEY)
    newest, listing = adapters.newest, server.all()
    adapters.seen(stored("b", 11), "ADDED")
    assert adapters.hold_against(listing, None, newest) == set()
    assert await names(adapters) == ["a", "b"]


async def test_a_watch_that_began_anew_leaves_doubt() -> None:
    adapters = known_to(ApiServer(stored("a", 3)))
    adapters.seen(stored("a", 3), None)
    adapters.seen(stored("a", 12), "MODIFIED")
    assert not adapters.in_doubt.is_set()
    adapters.seen(stored("a", 12), None)
    assert adapters.in_doubt.is_set()


async def test_a_watch_that_began_anew_without_anything_of_its_first_list_leaves_doubt() -> None:
    adapters = known_to(ApiServer())
    adapters.seen(stored("a", 11), "ADDED")
    adapters.seen(stored("a", 12), None)
    assert adapters.in_doubt.is_set()


async def test_what_a_watch_that_began_anew_tells_is_not_taken_together_with_what_is_gone_since() -> None:
    server = ApiServer(stored("a", 3), stored("b", 4))
    adapters = known_to(server)
    for each in (stored("a", 3), stored("b", 4)):
        adapters.seen(each, None)
    assert await names(adapters) == ["a", "b"]
    server.objects, server.version = {"b": stored("b", 4), "c": stored("c", 15)}, 20
    for each in (stored("c", 15), stored("b", 4)):
        adapters.seen(each, None)
    assert await names(adapters) == ["b", "c"]


async def test_a_name_belongs_to_the_last_object_although_nothing_told_of_the_end_of_the_one_before() -> None:
    adapters = known_to(ApiServer(stored("a", 3, uid="first")))
    await adapters.of(KEY)
    adapters.seen(stored("a", 12, uid="second", weight=0.5), None)
    assert [(a.meta.uid, a.spec.weight) for a in await adapters.of(KEY)] == [("second", 0.5)]
    adapters.seen(stored("a", 5, uid="first"), "MODIFIED")
    assert [a.meta.uid for a in await adapters.of(KEY)] == ["second"]


async def test_a_name_that_went_to_another_model_leaves_doubt_about_the_model_that_had_it() -> None:
    adapters, other = known_to(ApiServer(stored("a", 3, uid="first"))), ModelKey("team", "tall")
    await adapters.of(KEY)
    moved = mutated(stored("a", 12, uid="second"), {"spec.modelRef.name": other.name})
    adapters.seen(moved, "ADDED")
    assert await adapters.of(KEY) == ()
    assert adapters.in_doubt.is_set()


async def test_after_etcd_was_restored_everything_is_looked_at_anew() -> None:
    server = ApiServer(stored("a", 900), version=1000)
    adapters = known_to(server)
    await adapters.of(KEY)
    server.objects, server.version = {"a": stored("a", 5, weight=0.5)}, 6
    assert adapters.hold_against(server.all(), None, adapters.newest) == {KEY}
    assert [adapter.spec.weight for adapter in await adapters.of(KEY)] == [0.5]
