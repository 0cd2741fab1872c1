"""What `make demo` leaves alone."""

from typing import cast

from rich.console import Console

from local_cluster.cluster import Cluster
from lora_demo.story import Story


class Answering:
    """A cluster that answers everything in the same way."""

    def __init__(self, answer: str) -> None:
        self.asked: list[str] = []
        self._answer = answer

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        assert stdin is None
        self.asked.append(" ".join(arguments))
        return self._answer


def test_an_adapter_of_the_user_s_own_is_neither_changed_nor_deleted() -> None:
    cluster, console = Answering("loraadapter.lora-operator.io/french\n"), Console(record=True)

    Story(cast("Cluster", cluster), "http://localhost", console).add_and_remove()

    assert [" get " in asked for asked in cluster.asked] == [True]
    assert "french of your own" in console.export_text()


def test_pods_of_a_user_s_own_models_may_restart() -> None:
    cluster = Answering('{"items": []}')

    assert Story(cast("Cluster", cluster), "http://localhost", Console()).pods() == {}

    assert cluster.asked == ["-n lora-demo get pods -l lora-operator.io/model=smol -o json"]
