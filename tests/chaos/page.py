"""The Markdown page and the JSON of a run. Pure."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.report.documents import machine_lines, table
from chaos.checker import BOUND_SECONDS
from chaos.play import Result


def again(mode: str, seed: int, steps: int) -> str:
    """The command that makes the same steps."""
    return f'make chaos ARGS="--mode {mode} --seed {seed} --steps {steps}"'


def page(result: Result, mode: str, machine: Mapping[str, Any]) -> str:
    """What a reader needs to know, and to make it again."""
    key = result.key_figures()
    rests = sorted(result.rests) or [0.0]
    return "\n\n".join([
        f"# Truth under chaos: {mode}",
        f"`{again(mode, result.seed, result.steps)}` on {machine_lines(machine)} "
        f"{result.seconds / 60:.0f} minutes; load average {machine['load_average']} before the run.",
        f"**{key['steps']} steps, {key['kills']} of them kills that hit a process: {key['false_ready']} times a status said `Ready` "
        f"for more than {BOUND_SECONDS:g} s of what a pod did not serve, {key['lost']} times something wanted was lost, "
        f"{key['wrong']} times a pod served what nobody had wanted. {key['claims']} times a status was held against a pod's answer; "
        f"the longest lie took {key['longest_lie_s']} s.**",
        f"{key['looks']} looks at ready pods, {key['looks_answered']} of them answered. From one that was to the next at that pod, or to "
        f"one that found it not ready any more, {key['gap_median_s']} s passed (median), {key['gap_p99_s']} s (p99) and "
        f"{key['gap_longest_s']} s (longest). "
        f"For {key['claims_silent_pct']} % of the time for which a status said `Ready` of a ready pod nobody could judge it, since "
        f"the pod did not answer; for {key['claims_excused_pct']} %, since the operator or the API server was away.",
        table(("what happened", "times"), list(result.kinds.items())),
        table(("why a status was not `Ready`", "times"), list(result.reasons.items())),
        f"Everything came to rest {len(result.rests)} times, after {rests[len(rests) // 2]:.1f} s (median) and "
        f"{rests[-1]:.1f} s (longest). The operator ended by itself {key['operator_deaths']} times.",
        _METHOD,
    ])  # fmt: skip


def document(result: Result, machine: Mapping[str, Any]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "key": result.key_figures(),
        "machine": dict(machine),
        "seconds": round(result.seconds, 1),
        "kinds": result.kinds,
        "reasons": result.reasons,
        "rests_s": [round(seconds, 2) for seconds in result.rests],
        "verdicts": [asdict(verdict) for verdict in result.verdicts],
        "unsettled": result.unsettled,
    }


_METHOD = """## How it was done

- Steps follow from the seed alone. One hand carries them out; faults end by themselves after a few seconds. After every few
  dozen steps everything is healed, and the run goes on when each pod serves exactly what is wanted, each status says so with
  the current generation, what cannot be had is not Ready, and what was served before it still is. A quiet point that does not
  come ends the run.
- `stand-ins`: a real API server with its controllers, and the real operator as a process. A pod is a process with the real
  service, planner and admin server over mutual TLS, and an engine that remembers what was published and of what it was made;
  a player of the kubelet starts it, probes it and writes its status. `cluster`: a real node, with vLLM in one or two
  pods; a store is filled by a file beside it that leaves nothing of the model's `spec.cache.sizeLimit`.
- An observer of its own asks every pod ten times a second (in a cluster as often as it can be answered) what each name is
  answered with: the record of the engine's routing, or greedy tokens held against PEFT in float32. No pod waits for another's
  answer, and a question is given up after half a second (in a cluster, one second). Statuses come by a watch.
- *Lie*: `Ready=True` with the current generation while a ready pod answers with something else, counted from the last moment at
  which it was true, or not said, for as long as it is found to be false. A name that a pod answers with an error is served with
  nothing. Silence neither proves nor disproves: a pod that cannot be reached or does not answer is not judged, nor is a name that
  it does not answer; a lie that was seen before goes on through silence; one that is first seen after it counts from then. A pod
  whose way to the operator is cut is judged. A lie does not count while the operator or the API server is away: until an operator
  that starts has the Lease, one that was paused goes on, and the API server is ready again. From then on, the bound holds.
- *Lost*: a name that was Ready and is wanted, and that the same process of a pod serves no more, or that goes back from what
  is wanted to what was wanted earlier. Who is cut off from the operator, and for 2 s after, may answer with the object before; so
  may who has answered for less than 2 s since its start, from a document that somebody put back.
- An operator that starts while its document is gone or was put back cannot know how a revision that is refused now was made;
  that combination is left out."""
