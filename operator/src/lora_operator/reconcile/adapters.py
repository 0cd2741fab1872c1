"""All LoRAAdapters by model: listed once, kept up to date by events, and held against a list now and then."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from lora_operator.clients import resources
from lora_operator.clients.kube import Kube, KubeError, Listing
from lora_operator.domain.observed import ModelKey, ObservedAdapter
from lora_operator.reconcile import reading
from lora_operator.reconcile.freshness import Freshness

Object = Mapping[str, Any]

_GONE_KEPT = 20_000
"""So many deleted objects are remembered, lest a list from before their end brings them back."""
_ASKED_ONE_BY_ONE = 8
"""Whether more than these are gone is sooner seen in a list."""


@dataclass(slots=True)
class _Known:
    stored: Object | None
    """As it came, until somebody looks."""
    version: int
    name: tuple[str, str]
    """Its namespace, and its name there."""
    read: ObservedAdapter | None = None


class Adapters:
    """What is known without asking. An object that was not read again is the same one as before, and so are all together."""

    def __init__(self, kube: Kube, freshness: Freshness) -> None:
        self._kube = kube
        self._freshness = freshness
        self._models: dict[ModelKey, dict[str, _Known]] = {}
        """By UID."""
        self._all: dict[ModelKey, tuple[ObservedAdapter, ...]] = {}
        """The same as they were shown last, until one comes, goes or is another."""
        self._listed: set[ModelKey] = set()
        """Models of which nothing is missing."""
        self._stale: set[ModelKey] = set()
        """Those of which something may be left over, and which are listed anew before anybody looks."""
        self._gone: OrderedDict[str, None] = OrderedDict()
        """UIDs."""
        self._holders: dict[tuple[str, str], tuple[ModelKey, str]] = {}
        """The model and UID of the object that has a namespace's name, as of which there is one at a time."""
        self._heard: set[str] = set()
        """UIDs of which the watch has told."""
        self.in_doubt = asyncio.Event()
        """Set when something may be left over."""
        self.newest = 0
        """The latest resource version that was seen."""
        self._doubtful: dict[ModelKey, dict[str, str]] = {}
        """Name by UID of those that are gone as far as events say, which alone is no reason to unload anything."""

    async def of(self, key: ModelKey) -> tuple[ObservedAdapter, ...]:
        """All that name the model and are not being deleted.

        Raises:
            KubeError: they are not known yet, and the API server does not tell.
            pydantic.ValidationError: one does not fit the schema; the API server would have refused it.
        """
        if key not in self._listed or key in self._stale:
            await self._list(key)
        if key in self._doubtful:
            await self._make_sure(key)
        if key not in self._all:
            self._all[key] = tuple(_read(known) for known in self._models.get(key, {}).values())
        return self._all[key]

    def uids(self, key: ModelKey) -> Set[str]:
        """Of all that are known of the model."""
        return self._models.get(key, {}).keys()

    def seen(self, stored: Object, kind: str | None) -> bool:
        """An event showed this object; whether there is something new to look at.

        What was known already has been looked at, or is this operator's own doing.

        Args:
            stored: the object.
            kind: of the event, as the API server says it; None for one of a list from which a watch begins.
        """
        key, uid = reading.model_of(stored), stored["metadata"]["uid"]
        anew = kind is None and uid in self._heard
        if anew:
            # A watch has begun anew: what was deleted in between, it does not tell. What it does tell must not be taken together
            # with that: a blend could be made of members that never were at the same time.
            self._heard.clear()
            self._stale |= self._listed
            self.in_doubt.set()
        self._heard.add(uid)
        if kind == "DELETED" or "deletionTimestamp" in stored["metadata"]:
            is_news = self._drop(key, uid)
            if is_news:
                self._doubtful.setdefault(key, {})[uid] = stored["metadata"]["name"]
        else:
            is_news = uid not in self._gone and self._take(key, stored)
        return is_news or anew

    def written(self, key: ModelKey, stored: Object) -> None:
        """This is how an object of the model is now that its status was written."""
        if stored["metadata"]["uid"] in self._models.get(key, {}):
            self._take(key, stored)

    def hold_against(self, listing: Listing, namespace: str | None, newest: int) -> set[ModelKey]:
        """Sees to it that nothing is missing or left over; the models of which something was.

        Args:
            listing: all LoRAAdapters of the namespace, as they are and not as they were a moment ago.
            namespace: None for those of the whole cluster.
            newest: the latest resource version that had been seen when the list was asked for.
        """
        if int(listing.version) < newest:
            # Versions never go back, but where etcd was restored: whatever is known is of another past.
            self._models.clear()
            self._all.clear()
            self._holders.clear()
            self._gone.clear()
            self._doubtful.clear()
            self.newest, known = 0, set(self._listed)
            self._listed.clear()
            self._stale.clear()
            return known
        by_model: dict[ModelKey, list[Object]] = {}
        for stored in listing.items:
            by_model.setdefault(reading.model_of(stored), []).append(stored)
        known = {key for key in self._listed if namespace in (None, key.namespace)}
        return {key for key in known if self._merge(key, by_model.get(key, []), listing)}

    def forget(self, key: ModelKey) -> None:
        """Nobody asks for this model any more: what comes is as if it were new."""
        self._listed.discard(key)
        self._stale.discard(key)
        if not self._models.get(key):
            self._models.pop(key, None)
            self._all.pop(key, None)

    async def _list(self, key: ModelKey) -> None:
        newest = self._freshness.newest(resources.ADAPTERS.kind)
        self._stale.discard(key)
        try:
            fields = f"spec.modelRef.name={key.name}"
            listing = await self._kube.list(resources.ADAPTERS, key.namespace, fields=fields, not_older_than=newest)
        except KubeError:
            self._freshness.forget(resources.ADAPTERS.kind)
            self._stale.add(key)
            raise
        self._freshness.note(resources.ADAPTERS.kind, listing.version)
        self._merge(key, listing.items, listing)
        self._listed.add(key)

    def _merge(self, key: ModelKey, items: Iterable[Object], listing: Listing) -> bool:
        """Whether something differed."""
        differs = False
        there = set()
        for stored in items:
            uid = stored["metadata"]["uid"]
            if "deletionTimestamp" in stored["metadata"] or uid in self._gone:
                continue
            there.add(uid)
            differs |= self._take(key, stored)
        for uid, known in tuple(self._models.get(key, {}).items()):
            # What is newer than the list came by an event while it was under way.
            if uid not in there and known.version <= int(listing.version):
                self._drop(key, uid)
                differs = True
        return differs

    async def _make_sure(self, key: ModelKey) -> None:
        """Asks whether what events say is gone is gone."""
        doubtful = dict(self._doubtful[key])
        if len(doubtful) > _ASKED_ONE_BY_ONE:
            fields = f"spec.modelRef.name={key.name}"
            found = (await self._kube.list(resources.ADAPTERS, key.namespace, fields=fields)).items
        else:
            asked = [await self._kube.get(resources.ADAPTERS, key.namespace, name) for name in doubtful.values()]
            found = [stored for stored in asked if stored is not None]
        for stored in found:
            if stored["metadata"]["uid"] in doubtful and "deletionTimestamp" not in stored["metadata"]:
                self._gone.pop(stored["metadata"]["uid"], None)
                self._take(key, stored)
        left = {uid: name for uid, name in self._doubtful.pop(key, {}).items() if uid not in doubtful}
        if left:
            self._doubtful[key] = left

    def _take(self, key: ModelKey, stored: Object) -> bool:
        """Whether it is news."""
        metadata = stored["metadata"]
        version = int(metadata["resourceVersion"])
        self.newest = max(self.newest, version)
        known = self._models.setdefault(key, {}).get(metadata["uid"])
        if known is None:
            name = metadata["namespace"], metadata["name"]
            if not self._succeeds(key, metadata["uid"], name, version):
                return False
            self._models[key][metadata["uid"]] = _Known(stored, version, name)
        elif known.version >= version:
            return False
        else:
            known.stored, known.version = stored, version
        self._all.pop(key, None)
        return True

    def _succeeds(self, key: ModelKey, uid: str, name: tuple[str, str], version: int) -> bool:
        """Gives an object its name, whose last holder is gone, also if no event said so; False if itself is gone."""
        before = self._holders.get(name)
        held = None if before is None else self._models.get(before[0], {}).get(before[1])
        if before is not None and held is not None:
            if held.version > version:
                return False
            self._drop(*before)
            if before[0] != key:
                self.in_doubt.set()
        self._holders[name] = key, uid
        return True

    def _drop(self, key: ModelKey, uid: str) -> bool:
        """Whether it was known."""
        self._gone[uid] = None
        if len(self._gone) > _GONE_KEPT:
            self._gone.popitem(last=False)
        known = self._models.get(key, {}).pop(uid, None)
        self._all.pop(key, None)
        if known is not None and self._holders.get(known.name) == (key, uid):
            del self._holders[known.name]
        return known is not None


def _read(known: _Known) -> ObservedAdapter:
    if known.read is None or known.stored is not None:
        known.read, known.stored = reading.read_adapter(known.stored or {}, known.read), None
    return known.read
