"""What `make demo` leaves alone."""

from typing import cast

from rich.console import Console

from local_cluster.cluster import Cluster
from lora_demo.story import Story


class HasFrench:
    """A cluster in which a user has made the adapter `french`."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        assert stdin is None
        self.asked.append(" ".join(arguments))
        return "loraadapter.lora-operator.io/french\n"


def test_an_adapter_of_the_user_s_own_is_neither_changed_nor_deleted() -> None:
    cluster, console = HasFrench(), Console(record=True)

    Story(cast("Cluster", cluster), "http://localhost", console).add_and_remove()

    assert [" get " in asked for asked in cluster.asked] == [True]
    assert "french of your own" in console.export_text()
