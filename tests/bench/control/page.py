"""The Markdown page and the JSON of the control benchmark. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.control.results import Judged, milliseconds, rows, stage_rows
from bench.control.settings import LAYERS, PROMPT_TOKENS, TOKENS, Settings
from bench.report.documents import machine_lines, rounded, table


def page(
    settings: Settings, judged: Sequence[Judged], key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float
) -> str:
    """What a reader needs to know, and to make it again."""
    head = ("change", "count", "served p50", "served p99", "Ready p50", "flipped p50", "flipped p99",
            "split p50", "split p99", "split max", "seen split p99")  # fmt: skip
    lines = [
        (row.kind, row.count, *map(_ms, (row.served_p50, row.served_p99, row.ready_p50)),
         *map(_ms, (row.flipped_p50, row.flipped_p99, row.split_p50, row.split_p99, row.split_max, row.seen_split_p99)))
        for row in rows(judged)
    ]  # fmt: skip
    stages = [(name, _ms(median), _ms(p99)) for name, median, p99 in stage_rows(judged)]
    return "\n\n".join([
        "# From a change of a custom resource to every pod",
        f"`make bench-control` on {machine_lines(machine)} Seed {settings.seed}; {seconds / 60:.0f} minutes; load average "
        f"{machine['load_average']} before the run.",
        f"**An edited adapter is served by both pods after {key['p50_ms']} ms (p50) and {key['p99_ms']} ms (p99). They go over to it "
        f"within {key['split_p99_ms']} ms of each other (p99).** The former contains the time of an answer; the pods themselves have "
        f"gone over after {key['flipped_p50_ms']} ms (p50) and {key['flipped_p99_ms']} ms (p99).",
        table(head, lines),
        f"The least that any controller takes here, which checks and reports nothing, is {key['bare_create_p50_ms']} ms for a creation "
        f"(p50; p99 {key['bare_create_p99_ms']} ms) and {key['bare_delete_p50_ms']} ms for a deletion; the operator's creations take "
        f"{key['create_p50_ms']} ms, and after {key['delete_p50_ms']} ms (p50; p99 {key['delete_p99_ms']} ms, {key['deletions']} of "
        "them) a deleted name is 404 on both pods.",
        f"Answers that were of neither revision, old after new, against what a pod said, or errors: {key['wrong']}. Changes that did "
        f"not come to every pod within a minute: {key['never']}.",
        "## Where the time goes",
        table(("stage", "p50", "p99"), stages) if stages else "No trace was received.",
        _METHOD.format(
            layers=LAYERS,
            prompt=PROMPT_TOKENS,
            tokens=TOKENS,
            pause=settings.pause_seconds * 1000,
            slow=settings.slow_seconds,
        ),
    ])  # fmt: skip


def document(
    settings: Settings, judged: Sequence[Judged], key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """The same for programs."""
    return {
        "key": dict(key),
        "machine": dict(machine),
        "seconds": round(seconds, 1),
        "settings": asdict(settings),
        "rows": [{name: _rounded(value) for name, value in asdict(row).items()} for row in rows(judged)],
        "changes": [
            {
                "kind": each.change.kind.value,
                "served_ms": milliseconds(each.served),
                "ready_ms": milliseconds(each.ready),
                "flipped_ms": milliseconds(each.flipped),
                "split_ms": milliseconds(each.split),
                "seen_split_ms": milliseconds(each.seen_split),
                "stages_ms": {name: milliseconds(value) for name, value in each.stages.items()},
            }
            for each in judged
        ],
    }


def _ms(seconds: float) -> str:
    return "" if math.isnan(seconds) else f"{seconds * 1000:.0f} ms"


def _rounded(value: object) -> object:
    return rounded(value, 4) if isinstance(value, float) else value


_METHOD = """## How it was measured

- A single node with a real API server, kubelet and containerd; the operator from its image with its chart; two pods with vLLM on
  CPU and a Llama of {layers} layer: all of it shares the machine's cores, and what answers take is taken from what is measured.
  Files are on a volume of the pods. No change leads to a revision that was there before: every pod computes the tensors of each,
  checks and loads them. Each change of the source, and each creation, is of a folder that no pod has seen: one pod reads, hashes and
  pins it for all, the others copy and hash it, too, and each checks it against the base model.
- Each pod with vLLM asks for half a core and the operator for a quarter, so that none starves beside the others.
- A client asks each pod over and over for {tokens} token of the adapter after {prompt} of a prompt, {pause:.0f} ms after its last
  answer, and changes one custom resource at any moment of that. When a pod prints that it goes over, it is asked without a rest: the
  questions are work for the same cores, so that with shorter rests the client slows down what it measures (`--pause`). Each change
  uses a prompt to which the old and the new revision answer differently, by PEFT in float32.
- *Served* is the time from just before the request to the API server, to the end of the first new answer of the last pod: it
  contains the rest of an old answer, if one is under way, and a new answer. *Ready* is the time until a watch tells `Ready=True`
  for the new generation.
- *Flipped* is the time until each pod has gone over to the new revision, by its own log, to which no answer may be contrary: an
  old one that was asked for later, or a new one that came earlier, counts as wrong. *Split* is how long two pods may answer with
  different revisions: from the begin of the first pod's flip to the end of the last one's. *Seen split* is what answers alone can
  say of that, from the begin of the first new answer of any pod to the end of the first new answer of the last one, which contains
  an answer's time.
- *delete* is of what was created before, and *served* is then the time until the last pod has answered 404 for the name.
- *create, bare* and *delete, bare* are what the machine itself takes: plain vLLM in two such pods, and a controller that watches
  and at once tells both to load a folder or to unload it. It resolves, checks, scales, agrees upon and reports nothing, and cannot
  edit at all: vLLM's `load_inplace` reads the files again at every step from then on. Read the other rows beside them.
- *slow pod* is an edit during which the engine's processes of one pod stand still for {slow:.0f} s. What no agreement can bound is
  the split of a pod that is cut off after the others were told to go over: it answers with the old revision until it is reached
  again, and the adapter is not Ready meanwhile."""
