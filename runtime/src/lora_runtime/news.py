"""Which served names have changed since a version of the inventory. Pure bookkeeping."""

from dataclasses import dataclass, field

_GONE_KEPT = 10_000
"""So many names that left are remembered; who knows an inventory from before them is told everything."""


@dataclass(frozen=True, slots=True)
class News:
    """What has changed since a version."""

    changed: frozenset[str]
    """Names whose reports differ, or may."""
    gone: frozenset[str]


@dataclass(slots=True)
class NewsOf:
    """The last change of each name, the latest at the end, so that a few news are found without a look at all names."""

    version: int = 0
    """What has been told so far; what changes now is told with the next one."""
    _changed: dict[str, int] = field(default_factory=dict)
    _gone: dict[str, int] = field(default_factory=dict)
    _complete_since: int = 0
    """Before this version, names may have left that are forgotten."""

    def changed(self, name: str) -> None:
        """Takes note of a change; to be followed by `next`."""
        self._gone.pop(name, None)
        self._changed.pop(name, None)
        self._changed[name] = self.version + 1

    def gone(self, name: str) -> None:
        """Takes note that nothing is left of a name; to be followed by `next`."""
        self._changed.pop(name, None)
        self._gone.pop(name, None)
        self._gone[name] = self.version + 1
        if len(self._gone) > _GONE_KEPT:
            oldest = next(iter(self._gone))
            self._complete_since = self._gone.pop(oldest)

    def next(self) -> None:
        """There is a new version, which has all that was taken note of."""
        self.version += 1

    def since(self, version: int) -> News | None:
        """What has changed after that version; None when that is not known."""
        if not self._complete_since <= version <= self.version:
            return None
        return News(_after(version, self._changed), _after(version, self._gone))


def _after(version: int, changes: dict[str, int]) -> frozenset[str]:
    found = set()
    for name in reversed(changes):
        if changes[name] <= version:
            break
        found.add(name)
    return frozenset(found)
