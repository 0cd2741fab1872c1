"""Which certificate the pods of each model have, and when it is written anew.

The operator may not read Secrets, so this is its memory of them; after a start it knows of none and writes all.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from lora_operator.clients.certificates import Authority, Leaf
from lora_operator.domain import render
from lora_operator.domain.actions import IssueCertificate
from lora_operator.domain.observed import ModelKey, ObjectMeta


@dataclass(frozen=True, slots=True)
class _Issued:
    model_uid: str
    leaf: Leaf
    written_at: datetime


class Certificates:
    """Signs for the pods of every model."""

    def __init__(self, authority: Authority, lifetime: timedelta, make_sure_every: timedelta) -> None:
        """Takes how often a Secret is written again, in case somebody deleted or edited it: as it is, that changes nothing."""
        self._make_sure_every = make_sure_every
        self._authority = authority
        self._lifetime = lifetime
        self._issued: dict[ModelKey, _Issued] = {}

    @property
    def trusted(self) -> bytes:
        """The certificates that pods should trust, PEM."""
        return self._authority.pem

    def due(self, key: ModelKey, model_uid: str, now: datetime) -> IssueCertificate | None:
        """What is to be done about the certificate now."""
        issued = self._issued.get(key)
        if issued is None or issued.model_uid != model_uid:
            return IssueCertificate("the pods need a certificate to talk to the operator")
        if now >= issued.leaf.renew_at:
            return IssueCertificate("the certificate of the pods ends soon")
        if now >= issued.written_at + self._make_sure_every:
            return IssueCertificate("somebody may have deleted or edited the certificate of the pods", again=True)
        return None

    def next_at(self, key: ModelKey) -> datetime | None:
        """When it has to be written next, the same or another one; None when there is none."""
        issued = self._issued.get(key)
        return None if issued is None else min(issued.leaf.renew_at, issued.written_at + self._make_sure_every)

    def leaf(self, key: ModelKey, model_uid: str, now: datetime) -> Leaf:
        """The certificate that the pods should have: the one that they have, as long as it is good."""
        issued = self._issued.get(key)
        if issued is not None and issued.model_uid == model_uid and now < issued.leaf.renew_at:
            return issued.leaf
        return self._authority.server(render.admin_host(key), now, self._lifetime)

    def note_written(self, key: ModelKey, model: ObjectMeta, leaf: Leaf, now: datetime) -> None:
        """The Secret holds it."""
        self._issued[key] = _Issued(model.uid, leaf, now)

    def forget(self, key: ModelKey) -> None:
        """The model is gone."""
        self._issued.pop(key, None)
