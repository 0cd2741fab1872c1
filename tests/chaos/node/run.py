"""A run on a real node."""

import contextlib
from pathlib import Path

from kubernetes import config

from chaos.node.world import Node, node
from chaos.play import Result, Tell, play
from chaos.scenes import NODE
from local_cluster.progress import Terminal

_PATIENCE_SECONDS = 300.0
"""An engine that was killed twice is back so late."""


def play_node(folder: Path, seed: int, count: int, tell: Tell) -> Result:
    """Runs a plan on a real node of its own."""
    sources = [f"{name}-s{place}" for name in NODE.trained for place in range(NODE.sources)]
    with (
        node(folder, sources, Terminal()) as (cluster, answers),
        config.new_client_from_config(config_file=str(cluster.kubeconfig)) as api,
        contextlib.closing(Node(cluster, api, folder, answers)) as world,
    ):
        return play(world, NODE, folder, seed, count, tell, _PATIENCE_SECONDS)
