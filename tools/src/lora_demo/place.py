"""Where the demo's things are: the checkout, the environment that pods borrow, names in the cluster."""

import site
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The checkout."""

NAMESPACE = "lora-demo"
OPERATOR_NAMESPACE = "lora-operator"
CLUSTER = "demo"
MODEL = "smol"
MIXTURE = "voices"


def site_packages() -> Path:
    """The folder of the installed packages: pods of the thin runtime image borrow vLLM from it, read-only."""
    return Path(site.getsitepackages()[0])
