"""Operators, pods and CRDs out of this repository's own history, and today's: the upgrade, and the way back.

Earlier code is really run, with today's libraries; a pod is the runtime of its version with an engine that only remembers.
"""

import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

from local_cluster import Cluster
from support.condition_history import ConditionHistory, Seen
from support.custom_resources import BLEND, mutated
from support.installation import NAMES, Installation
from support.operated import Team, eventually
from support.small_kubelet import SmallKubelet
from support.versions import NOW, Version, earlier

pytestmark = pytest.mark.apiserver

FIRST = "885f35db1cc01921df23a9bbdef471cca45c13d9"
"""The oldest whose pods can be played without an engine: no Lease, a Secret for each model's certificate, whole documents."""
LEASED = "296440d233a212ccf2bcac75819a44e709b5017d"
"""The first with several operators, patches of documents and one Secret for all; no mixtures, no history that leads back."""

A_NEW_METHOD = {"metadata.name": "svd", "spec.blend.method": "SVD", "spec.blend.rank": 8}
"""Is unknown to runtimes of the first."""
_NEED_MORE_FACTS = {FIRST[:7]}
"""Their operators ask for a field about each source that pods have left out since; they wait for a pod of their own."""
_ON_THE_WAY = frozenset({"Fetching", "Loading", "MemberNotReady"})
_NOT_ASKED_YET = "the pod has not been asked yet"
"""Earlier operators said this of each pod that they saw first, and took it for one that does not answer."""


@pytest.fixture(scope="module", params=[FIRST, LEASED], ids=["first", "leased"])
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Version:
    return earlier(request.param, tmp_path_factory.mktemp("earlier"))


@pytest.fixture
def installation(old: Version, changing_api_server: Cluster, tmp_path: Path) -> Iterator[Installation]:
    with config.new_client_from_config(config_file=str(changing_api_server.kubeconfig)) as api:
        namespace = f"test-{uuid.uuid4().hex[:10]}"
        core = client.CoreV1Api(api)
        core.create_namespace({"metadata": {"name": namespace}})
        team = Team(api, namespace)
        with (
            SmallKubelet(team, tmp_path / "pods", old, NOW) as node,
            ConditionHistory(team.custom, namespace) as history,
        ):
            yield Installation(changing_api_server, team, node, history, tmp_path)
        core.delete_namespace(namespace)


def test_an_operator_works_with_pods_of_before_and_the_one_before_takes_them_back(
    installation: Installation, old: Version
) -> None:
    with installation.of(old):
        installation.declare()
        installation.reweigh(0.5)
    installation.news()
    installation.node.pulled = {old.image}

    with installation.of(NOW):
        installation.wants_pods_of(NOW)
        assert installation.news() == [], "a new operator alone changes nothing of what is served"
        assert {pod.version for pod in installation.reweigh(0.6)} == {old}
        installation.move("team/formal-2")
        assert_told_truly(installation.news())

    with installation.of(old):
        assert {pod.version for pod in installation.reweigh(0.7)} == {old}
        installation.move("team/formal-3")
        installation.all_run(old)
        assert_told_truly(installation.news(), by_an_earlier_operator=True)
    assert_never_withdrawn(installation)


def test_pods_are_replaced_one_by_one_and_back_again(installation: Installation, old: Version) -> None:
    with installation.of(old):
        installation.declare()
    installation.node.pulled = {old.image}

    with installation.of(NOW):
        installation.first_runs(NOW)
        assert {pod.version for pod in installation.reweigh(0.6)} == {old, NOW}
        installation.all_run(NOW)
        assert {pod.version for pod in installation.reweigh(0.7)} == {NOW}
        installation.move("team/formal-2")
        assert_told_truly(installation.news())
    installation.node.pulled = {NOW.image}

    with installation.of(old):
        installation.wants_pods_of(old)
        assert {pod.version for pod in installation.reweigh(0.8)} == {NOW}
        before = installation.point_at("team/formal-3")
        eventually(
            "it is served, or told why not", lambda: installation.has_left(before) or not_understood(installation)
        )
        assert not_understood(installation) is (old.name in _NEED_MORE_FACTS)
        installation.first_runs(old)
        eventually("a pod of its own has answered", lambda: installation.has_left(before))
        assert {pod.version for pod in installation.reweigh(0.9)} == {old, NOW}
        installation.all_run(old)
        installation.move("team/formal-4")
        assert_told_truly(installation.news(), by_an_earlier_operator=True)
    assert_never_withdrawn(installation)


@pytest.mark.parametrize("old", [FIRST], indirect=True, ids=["first"])
def test_what_pods_of_before_do_not_understand_is_told_in_their_words_until_they_are_replaced(
    installation: Installation, old: Version
) -> None:
    with installation.of(old):
        installation.declare()
    installation.node.pulled = {old.image}

    with installation.of(NOW):
        installation.wants_pods_of(NOW)
        installation.team.create(mutated(BLEND, A_NEW_METHOD))
        eventually("the blend is explained", lambda: waits_for_other_pods(installation, "svd"))
        installation.team.patch("loraadapters", "pirate", {"spec": {"weight": 0.3}})
        eventually("so is the edit of another", lambda: waits_for_other_pods(installation, "pirate"))
        assert installation.team.condition("loraadapters", "pirate", "Available") == ("True", "Serving")
        assert installation.team.condition("loraadapters", "formal", "Ready") == ("True", "Serving")
        installation.all_run(NOW, "svd")
    assert_never_withdrawn(installation)


def waits_for_other_pods(installation: Installation, name: str) -> bool:
    """Whether the status of an adapter says that pods do not understand its document, and what they answer."""
    conditions = installation.team.status("loraadapters", name).get("conditions") or ()
    ready = next((c for c in conditions if c["type"] == "Ready"), {"message": "", "status": ""})
    return ready["status"] == "False" and all(
        words in ready["message"]
        for words in ("does not understand what it is told", "422", "Input should be 'Concat'")
    )


def not_understood(installation: Installation) -> bool:
    """Whether the status says that the operator cannot read what a newer pod answers about a source."""
    conditions = installation.team.status("loraadapters", "formal")["conditions"]
    return any(
        c["status"] == "False" and "answer to POST /v1/resolve is not understood" in c["message"] for c in conditions
    )


def assert_told_truly(seen: Iterable[Seen], *, by_an_earlier_operator: bool = False) -> None:
    """What is served is Available throughout, and not Ready only while an edit is on its way."""
    for status in seen:
        if by_an_earlier_operator and _NOT_ASKED_YET in status.message:
            continue
        assert status.available == "True", status
        assert status.ready == "True" or status.reason in _ON_THE_WAY, status


def assert_never_withdrawn(installation: Installation) -> None:
    """No pod that ever served a name went without it later, from the moment when it was ready."""
    for pod in installation.node.all_pods:
        journal = [set(served) for served in pod.journal]
        complete = next(at for at, names in enumerate(journal) if names >= set(NAMES))
        assert all(names >= set(NAMES) for names in journal[complete:]), (pod.name, journal)
