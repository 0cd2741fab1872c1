"""Quantities of Kubernetes as numbers."""

from decimal import Decimal

_FACTORS = {
    "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
    "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
}  # fmt: skip


def quantity_bytes(quantity: str) -> int:
    """Bytes that a quantity such as `1.5Gi` stands for; of the form that the schema of `spec.cache.sizeLimit` allows."""
    number = quantity.rstrip("".join(_FACTORS))
    return int(Decimal(number) * _FACTORS.get(quantity.removeprefix(number), 1))
