"""The Markdown page and the JSON. Pure."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.report.documents import machine_lines, rounded, table
from bench.two_hundred.results import Found


def page(found: Found, key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float) -> str:
    """What a reader needs to know, and to make it again."""
    bulks, restarts = found.bulks, found.restarts
    return "\n\n".join([
        "# Two hundred adapters on two pods",
        f"`make bench-two-hundred` on {machine_lines(machine)} {seconds / 60:.0f} minutes; load average "
        f"{machine['load_average']} before the run. The API server, etcd, the controller manager, two runtimes and the operator "
        "share these cores. The setting is the one in which others were measured: see [what goes wrong elsewhere](../why.md).",
        f"**{key['adapters']} LoRAAdapters that are created at once are served by both pods after {key['served_s']} s, and Ready "
        f"after {key['ready_s']} s; deleted at once, they are unloaded after {key['unloaded_s']} s. A pod that is killed serves all "
        f"of them {key['restart_served_s']} s after it answers again, and is not Ready before.**",
        table(
            ("s", *(f"{bulk.count} adapters" for bulk in bulks)),
            [
                ("created at once → served by both pods, half of them", *(rounded(b.half_served, 2) for b in bulks)),
                ("… all of them", *(rounded(b.served, 2) for b in bulks)),
                ("… Ready", *(rounded(b.ready, 2) for b in bulks)),
                ("deleted at once → unloaded in both pods", *(rounded(b.unloaded, 2) for b in bulks)),
                ("objects made for them", *(b.objects for b in bulks)),
            ],
        ),
        f"## With {key['adapters']} there",
        table(
            ("what", "figure"),
            [
                ("API requests of the operator a minute, idle", key["idle_requests_per_min"]),
                ("requests to each pod a minute, idle: long polls", key["idle_pod_requests_per_min"]),
                (
                    f"one more → served by both pods, n={len(found.creations)}",
                    f"p50 {key['create_served_p50_ms']} ms, max {key['create_served_max_ms']} ms",
                ),
                ("… Ready", f"p50 {key['create_ready_p50_ms']} ms, max {key['create_ready_max_ms']} ms"),
                (
                    f"one more, 1 s after one that takes {found.settings.slow_seconds:.0f} s to load → Ready, "
                    f"n={len(found.beside_slow)}",
                    f"max {key['beside_slow_s']} s",
                ),
            ],
        ),
        "## A pod's process is killed",
        table(
            ("s", *(f"pod {index + 1}" for index in range(len(restarts)))),
            [
                ("kill → no adapter is said to be Ready", *(rounded(r.told, 2) for r in restarts)),
                ("another process begins → it answers the operator", *(rounded(r.answers) for r in restarts)),
                ("it answers → serves half of them", *(rounded(r.half_served) for r in restarts)),
                ("… all of them", *(rounded(r.served) for r in restarts)),
                ("… may be Ready", *(rounded(r.settled) for r in restarts)),
                ("… every adapter is said to be Ready", *(rounded(r.ready, 2) for r in restarts)),
                ("looks at which it might be Ready without all of them", *(r.early for r in restarts)),
            ],
        ),
        _METHOD,
    ])  # fmt: skip


def document(found: Found, key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The same for programs."""
    assert found.idle is not None
    return {
        "key": dict(key),
        "machine": dict(machine),
        "seconds": round(seconds, 1),
        "settings": asdict(found.settings),
        "bulks": [_rounded(asdict(bulk)) for bulk in found.bulks],
        "idle": {
            "seconds": found.idle.seconds,
            "requests": dict(found.idle.asked.counts),
            "pod_requests": found.idle.told.requests,
            "polls": found.idle.told.polls,
        },
        "creations": [_rounded(asdict(creation)) for creation in found.creations],
        "restarts": [_rounded(asdict(restart)) for restart in found.restarts],
        "beside_slow_s": [rounded(each) for each in found.beside_slow],
    }


def _rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: rounded(value) if isinstance(value, float) else value for name, value in figures.items()}


_METHOD = """## How it was measured

- As in [scale](scale.md): a real API server with etcd and the controller manager, no node; the real operator as a process with the
  chart's role; each pod is a Pod object whose status the benchmark writes, with a process that runs the real service, planner and
  admin server over mutual TLS, and an engine that only remembers. Every source exists, and its files take no time.
- Times are from just before the first request to the API server, of which 24 are under way at a time. *Served* and *unloaded* are
  what the pods' engines have, looked at every 10 ms; *Ready* is what a watch sees.
- *Objects* are all of the namespace but the LoRAAdapters themselves and Events.
- A pod's process is killed with SIGKILL, and the benchmark says at once that the pod is not Ready, as a kubelet does. Once every
  status tells of it, another process begins with what the first had written. It is said to be Ready when its `/ready` would be."""
