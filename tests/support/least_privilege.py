"""What an account was allowed to do, held against what it did: roles, and the API server's audit log. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

_READS = frozenset({"get", "list", "watch"})


@dataclass(frozen=True, order=True, slots=True)
class Right:
    """One verb on one kind of object."""

    verb: str
    resource: str
    """`group/plural` or `group/plural/subresource`; the core group is empty."""
    name: str = ""
    """The one object that it is limited to; empty for all."""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f" {self.name}" if self.name else "")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What does not agree."""

    unused: tuple[str, ...]
    """Granted, and never used."""
    ungranted: tuple[str, ...]
    """Tried without being granted."""
    secrets_read: tuple[str, ...]
    """Every look at a Secret, granted or not."""
    denied: tuple[str, ...] = ()
    """Answered with 403, and in which words: a right may be granted in one namespace, and be missing in another one."""


def granted(roles: Iterable[Mapping[str, Any]]) -> frozenset[Right]:
    """All rights in the rules of Roles and ClusterRoles."""
    return frozenset(
        Right(verb, f"{group}/{resource}", name)
        for role in roles
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or ("",)
    )


def used(events: Iterable[Mapping[str, Any]], account: str) -> frozenset[Right]:
    """What the account asked for, whatever was answered; with the names of the objects."""
    found = set()
    for event in events:
        place = event.get("objectRef")
        # Without an object it is discovery, which is open to every account.
        if event["user"]["username"] != account or place is None:
            continue
        kind = "/".join(filter(None, (place["resource"], place.get("subresource"))))
        resource = f"{place.get('apiGroup', '')}/{kind}"
        found.add(Right(event["verb"], resource, place.get("name", "")))
        if event["verb"] == "patch" and event.get("responseStatus", {}).get("code") == 201:
            # A server-side apply of what is not there yet takes both rights, and its name is known.
            found.add(Right("create", resource, place.get("name", "")))
    return frozenset(found)


def denied(events: Iterable[Mapping[str, Any]], account: str) -> frozenset[str]:
    """What the account was refused, and where; with the words of the answer, where the log has them."""
    found = set()
    for event in events:
        answer = event.get("responseStatus", {})
        if event["user"]["username"] == account and answer.get("code") == HTTPStatus.FORBIDDEN:
            words = answer.get("message", "")
            found.add(f"{event['verb']} {event['requestURI'].partition('?')[0]}" + (f": {words}" if words else ""))
    return frozenset(found)


def compare(
    roles: Iterable[Mapping[str, Any]],
    events: Iterable[Mapping[str, Any]],
    account: str,
    *,
    by_admission: Iterable[Right] = (),
) -> Comparison:
    """Everything that the account had too much or too little of.

    Args:
        roles: the Roles and ClusterRoles that are bound to it.
        events: the audit log.
        account: its user name.
        by_admission: rights that the API server asks about while it looks at other requests, so that no request of their
            own is ever logged.
    """
    log = list(events)
    has, did = granted(roles), used(log, account)
    served = {right: _serving(right, has) for right in did}
    needed = {right for rights in served.values() for right in rights} | set(by_admission)
    return Comparison(
        unused=tuple(map(str, sorted(has - needed))),
        ungranted=tuple(map(str, sorted(right for right, rights in served.items() if not rights))),
        secrets_read=tuple(map(str, sorted(r for r in did if r.resource == "/secrets" and r.verb in _READS))),
        denied=tuple(sorted(denied(log, account))),
    )


def _serving(call: Right, has: frozenset[Right]) -> frozenset[Right]:
    """The rights that allow a call."""
    return has & {Right(call.verb, call.resource), call}
