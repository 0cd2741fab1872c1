"""What the operator asked the API server, from the server's own audit log."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_BY_THE_CLOCK = frozenset({"patch leases", "patch secrets"})
"""The Lease is renewed and the certificates are checked whatever happens: they are among the idle requests."""


@dataclass(frozen=True, slots=True)
class Requests:
    """So many of each `verb resource`."""

    counts: Counter[str]

    @property
    def total(self) -> int:
        """All of them."""
        return self.counts.total()

    @property
    def writes(self) -> int:
        """Those that change something, but for what comes by the clock."""
        return sum(n for what, n in self.counts.items() if what.split(" ")[0] in _WRITES and what not in _BY_THE_CLOCK)


class Audit:
    """Reads on from where it was; one account's requests alone."""

    def __init__(self, log: Path, account: str) -> None:
        """Takes the log of a cluster and the user name that counts."""
        self._log, self._account = log, account
        self._at = log.stat().st_size

    def skip(self) -> None:
        """What came so far does not count."""
        self._at = self._log.stat().st_size

    def read(self) -> Requests:
        """What was asked since the last read or skip."""
        counts: Counter[str] = Counter()
        with self._log.open("rb") as log:
            log.seek(self._at)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._at += len(line)
                event = json.loads(line)
                # A watch is told of when it begins and when it ends.
                if event["user"]["username"] != self._account or event["stage"] == "ResponseStarted":
                    continue
                about = event.get("objectRef", {})
                kind = "/".join(filter(None, (about.get("resource", "?"), about.get("subresource"))))
                counts[f"{event['verb']} {kind}"] += 1
        return Requests(counts)
