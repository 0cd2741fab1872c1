"""One thread for all gloo groups of a process, where vLLM computes on the CPU.

torch gives each group a device of its own, with a thread that wakes a hundred times a second for as long as the process lives.
vLLM makes a dozen groups, of a single process, too: their threads take turns with the model on the same cores.
"""

import os
from datetime import timedelta
from functools import cache
from typing import Any

_THREADS = 2
"""That carry out what a group is asked to do: as many as torch's own groups have."""


def install() -> None:
    """Has all gloo groups that are made from now on share one device, unless the environment names the interfaces to use."""
    from torch.distributed import distributed_c10d

    gloo = distributed_c10d.ProcessGroupGloo
    if "GLOO_SOCKET_IFNAME" not in os.environ and not hasattr(gloo, "shares"):
        setattr(distributed_c10d, gloo.__name__, _sharing(gloo))


def _sharing(gloo: Any) -> type:
    """A kind of group that differs from torch's in its device alone."""

    @cache
    def device() -> Any:
        return gloo.create_default_device()

    def make(
        self: Any, store: Any, rank: int, size: int, options: Any = None, timeout: timedelta | None = None
    ) -> None:
        if options is None:
            options = gloo._Options()
            options._devices = [device()]
            options._threads = _THREADS
            if timeout is not None:
                options._timeout = timeout
        gloo.__init__(self, store, rank, size, options)

    # torch forgets the Python object and hands out one of its own class: to whoever asks, that is one of these, too.
    kind = type(type(gloo).__name__, (type(gloo),), {"__instancecheck__": lambda _, group: isinstance(group, gloo)})
    made: type = kind(gloo.__name__, (gloo,), {"__init__": make, "shares": True})
    return made
