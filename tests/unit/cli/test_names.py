"""A name leads to one object and to nothing else."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from lora_api.error_codes import ErrorCode
from lora_cli.app import run
from lora_cli.clients.kube import Kube
from lora_cli.clients.objects import ADAPTERS, Objects
from lora_cli.clients.server import Server
from lora_cli.clients.server_objects import ServerObjects
from lora_cli.domain import names
from lora_cli.errors import EXIT_STATUS, Failed

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: u, user: {}}]
"""


STRANGE = ["", ".", "..", "../../x", "a/b", "Pirate", "a b", "a%2fb", "a?x=1", "a\n", "-a", "a" * 254]


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_name_is_asked_of_nobody(name: str) -> None:
    kube = Mock(spec=Kube, namespace="team")
    for ask in (
        lambda: Objects(kube).delete(ADAPTERS, name),
        lambda: Objects(kube).get(ADAPTERS, name),
        lambda: Objects(kube).list(ADAPTERS, model=name),
        lambda: Objects(kube).merge(ADAPTERS, name, {}),
    ):
        with pytest.raises(Failed, match="is no name of an object") as caught:
            ask()
        assert caught.value.code is ErrorCode.INVALID
        assert "^" not in str(caught.value)
    kube.request.assert_not_called()


@pytest.mark.parametrize("name", ["", "..", "../../x", "a/../b", "a/./b", "/a", "a b", "a?x=1", "a%2f"])
def test_what_is_no_name_of_an_adapter_is_asked_of_no_server(name: str) -> None:
    server = Mock(spec=Server, url="http://127.0.0.1:8000")
    spec = {"metadata": {"name": name}, "spec": {}}
    for ask in (
        lambda: ServerObjects(server).delete(ADAPTERS, name),
        lambda: ServerObjects(server).create(ADAPTERS, spec),
    ):
        with pytest.raises(Failed, match="is no name of an adapter") as caught:
            ask()
        assert caught.value.code is ErrorCode.INVALID
    server.request.assert_not_called()


def test_adapters_of_a_server_may_have_slashes_in_their_names() -> None:
    assert names.of_declared("Team/Pirate.v1_2") == "Team/Pirate.v1_2"


@pytest.mark.parametrize("namespace", ["", "a/b", "../kube-system", "Team", "a.b", "a" * 64])
def test_what_is_no_namespace_is_said(namespace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(KUBECONFIG)
    words = ["status", "-n", namespace, "--kubeconfig", str(kubeconfig)]
    assert run(words) == EXIT_STATUS[ErrorCode.INVALID]
    assert "is no name of a namespace" in capsys.readouterr().err
