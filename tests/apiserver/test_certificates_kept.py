"""The Secret with the pods' certificates, which the operator may not read: others delete and edit it."""

from pathlib import Path
from typing import Any

import pytest

from lora_operator.domain import render
from support.custom_resources import ADAPTER, MODEL
from support.operated import Operator, Team, eventually

pytestmark = pytest.mark.apiserver

EVERY_SECONDS = 3


def test_a_secret_that_somebody_deletes_or_edits_is_as_before_in_time_and_the_pods_serve_on(
    team: Team, operator: Operator, tmp_path: Path
) -> None:
    operator.environment["LORA_OPERATOR_CERTIFICATE_CHECK_SECONDS"] = str(EVERY_SECONDS)
    with operator.running():
        team.create(MODEL)
        team.create(ADAPTER)
        [runtime] = team.runtimes(tmp_path, None)
        with runtime:
            served = team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
            before = data(team)
            team.core.delete_namespaced_secret(render.CERTIFICATES, team.namespace)
            assert data(team) is None
            eventually("the deleted one", lambda: data(team) == before)
            edit = {"data": {"smol.tls.key": None, "ca.crt": "bm9ib2R5"}}
            team.core.patch_namespaced_secret(render.CERTIFICATES, team.namespace, edit)
            assert data(team) != before
            eventually("the edited one", lambda: data(team) == before)
            assert team.status("loraadapters", "pirate") == served, "times of its conditions included"


def data(team: Team) -> Any | None:
    """What the Secret holds; None when there is none."""
    secret = team.certificates()
    return None if secret is None else secret.data
