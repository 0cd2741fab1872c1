"""When the pods of a model get a certificate, and when the same or another one is written once more."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from lora_operator.clients.certificates import Authority
from lora_operator.domain.observed import ModelKey
from lora_operator.reconcile.certificates import Certificates
from support.builders import a_model

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
CHECK = timedelta(minutes=5)
KEY = ModelKey("team", "smol")
MODEL = a_model().meta


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.make(NOW)


def issued(authority: Authority) -> Certificates:
    certificates = Certificates(authority, MONTH, CHECK)
    certificates.note_written(KEY, MODEL, certificates.leaf(KEY, MODEL.uid, NOW), NOW)
    return certificates


def why(certificates: Certificates, after: timedelta, uid: str = MODEL.uid) -> tuple[str, bool] | None:
    due = certificates.due(KEY, uid, NOW + after)
    return None if due is None else (due.why, due.again)


def test_a_model_that_is_new_to_the_operator_gets_one(authority: Authority) -> None:
    assert why(Certificates(authority, MONTH, CHECK), timedelta()) == (
        "the pods need a certificate to talk to the operator",
        False,
    )


def test_one_that_was_just_written_is_left_alone(authority: Authority) -> None:
    assert why(issued(authority), timedelta(minutes=4)) is None


def test_now_and_then_the_same_one_is_written_again_in_case_the_secret_is_gone(authority: Authority) -> None:
    certificates = issued(authority)
    assert why(certificates, CHECK) == (
        "somebody may have deleted or edited the certificate of the pods",
        True,
    )
    later = NOW + timedelta(days=1)
    assert certificates.leaf(KEY, MODEL.uid, later) == certificates.leaf(KEY, MODEL.uid, later)


def test_the_next_time_is_that_of_the_next_check_or_of_the_renewal_whichever_comes_first(authority: Authority) -> None:
    assert issued(authority).next_at(KEY) == NOW + CHECK
    seldom = Certificates(authority, MONTH, make_sure_every=MONTH)
    seldom.note_written(KEY, MODEL, seldom.leaf(KEY, MODEL.uid, NOW), NOW)
    assert seldom.next_at(KEY) == NOW + timedelta(days=20)


def test_after_two_thirds_of_its_life_another_takes_its_place(authority: Authority) -> None:
    certificates = issued(authority)
    assert why(certificates, timedelta(days=20, seconds=-1)) != ("the certificate of the pods ends soon", False)
    assert why(certificates, timedelta(days=20)) == ("the certificate of the pods ends soon", False)
    renewed = x509.load_pem_x509_certificate(certificates.leaf(KEY, MODEL.uid, NOW + timedelta(days=20)).certificate)
    assert renewed.not_valid_after_utc == NOW + timedelta(days=50)


def test_a_model_created_anew_inherits_none(authority: Authority) -> None:
    certificates = issued(authority)
    assert why(certificates, timedelta(), uid="another") is not None
    assert certificates.leaf(KEY, "another", NOW) != certificates.leaf(KEY, MODEL.uid, NOW)


def test_of_a_model_that_is_gone_nothing_is_kept(authority: Authority) -> None:
    certificates = issued(authority)
    certificates.forget(KEY)
    assert certificates.next_at(KEY) is None


def test_no_certificate_outlives_its_authority() -> None:
    old = Authority.make(NOW - timedelta(days=3640))
    leaf = old.server("smol", NOW, MONTH)
    assert x509.load_pem_x509_certificate(leaf.certificate).not_valid_after_utc == old.ends
