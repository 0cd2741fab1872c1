"""How new a list must at least be."""


class Freshness:
    """The newest resource version seen of each kind, in events, answers and lists.

    A list that may be as old as that comes from the API server's memory at once, while one that must be the very
    newest waits a tenth of a second for etcd to confirm it. And it never goes back in time: what was seen once and
    is not in such a list has been deleted.
    """

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}

    def note(self, kind: str, version: str | None) -> None:
        """Something of the kind was seen at this version."""
        if version:
            self._newest[kind] = max(int(version), self._newest.get(kind, 0))

    def newest(self, kind: str) -> str | None:
        """The version to ask for; None when nothing was seen yet, and only the very newest will do."""
        newest = self._newest.get(kind)
        return None if newest is None else str(newest)

    def forget(self, kind: str) -> None:
        """The API server does not know this version, as after etcd was restored: begin anew."""
        self._newest.pop(kind, None)
