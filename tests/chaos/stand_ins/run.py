"""A run with stand-ins for the pods."""

from pathlib import Path

from kubernetes import config

from chaos.play import Result, Tell, play
from chaos.scenes import STAND_INS
from chaos.stand_ins.world import stand_ins
from local_cluster import Cluster

_PATIENCE_SECONDS = 120.0
"""What failed several times is tried again after a minute."""


def play_stand_ins(cluster: Cluster, folder: Path, seed: int, count: int, tell: Tell) -> Result:
    """Runs a plan in an API server of its own or of others; the CRDs are there."""
    with (
        config.new_client_from_config(config_file=str(cluster.kubeconfig)) as api,
        stand_ins(cluster, api, folder, max(STAND_INS.replicas)) as world,
    ):
        return play(world, STAND_INS, folder, seed, count, tell, _PATIENCE_SECONDS)
