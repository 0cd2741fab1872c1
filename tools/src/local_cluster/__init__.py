"""A real local Kubernetes: one node, or only its API server, without Docker.

A development tool: the demo and the tests run on it. It is not part of the product and not in the wheel.

    with Cluster("e2e") as cluster:      # up on entry, down on exit
        cluster.kubectl("get", "nodes")
"""

from local_cluster.cluster import Cluster, Status
from local_cluster.errors import ClusterError
from local_cluster.layout import Mode

__all__ = ["Cluster", "ClusterError", "Mode", "Status"]
