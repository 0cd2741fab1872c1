"""`python -m lora_operator`."""

import logging
import sys

import uvloop

from lora_operator import app, config, logs
from lora_operator.bootstrap import NotReady
from lora_operator.clients.kube import KubeError
from lora_operator.reconcile.leader import LeadershipLost

_logger = logging.getLogger("lora_operator")

_DEEPEST = 11_000
"""Calls within each other. Kubernetes takes objects that are nested 10,000 deep; where Python's JSON reader stops at fewer,
one object in one namespace ends every list and every watch, and with them the operator, for all.
"""


def main() -> int:
    """Runs the operator; answers the exit status."""
    sys.setrecursionlimit(_DEEPEST)
    try:
        settings = config.load()
    except config.ConfigError as error:
        sys.stderr.write(f"lora_operator: {error}\n")
        return 2
    logs.configure(settings.log_level, settings.log_format)
    try:
        uvloop.run(app.run(settings))
    except (NotReady, KubeError, LeadershipLost) as error:
        _logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
