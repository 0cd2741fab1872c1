"""How much either side takes from the other, and how."""

from pydantic import FailFast

MAX_WAIT_SECONDS = 60
"""Longest `wait` that the runtime grants."""

MAX_MESSAGE_BYTES = 4 << 20
"""Longest message that either side reads, and longest document that a ConfigMap may unfold into.

A document of 10,000 adapters, which a ConfigMap just holds, takes 3.6 MiB. Neither side trusts the other with its
memory: whoever may edit ConfigMaps, or bring an image of their own into the pods, must not be able to end the operator,
which works for other namespaces, too.
"""

MAX_NAMES = 65_536
"""Served names in one document or inventory."""

QUICK = FailFast()
"""Stops at the first wrong item: to describe millions of them takes a thousand times the memory of the message."""
