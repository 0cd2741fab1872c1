"""What is not yet as it should be at a quiet point: nobody writes, nothing is broken. Pure."""

from collections.abc import Collection, Iterator

from chaos.sightings import Moment, SeenPod, Status, Wanted
from chaos.wishes import Content


def complaints(moment: Moment, replicas: int, model: Status, kept: Collection[str]) -> list[str]:
    """Where statuses, pods and wishes are not the same, in words.

    Args:
        moment: what was seen.
        replicas: pods that are wanted.
        model: what the LoRAModel's status says.
        kept: UIDs of the adapters that were once served by this model: they must be served, whatever is wanted now.
    """
    return list(_complaints(moment, replicas, model, kept))


def _complaints(moment: Moment, replicas: int, model: Status, kept: Collection[str]) -> Iterator[str]:
    pods = [pod for pod in moment.pods if pod.ready]
    if len(moment.pods) != replicas or len(pods) != replicas:
        yield f"{len(pods)} of {len(moment.pods)} pods are ready, wanted {replicas}"
    if not model.ready:
        yield f"the model is not Ready: {model.reason}: {model.message}"
    for pod in pods:
        if pod.served is None:
            yield f"{pod.name} does not answer"
            continue
        for name in sorted((pod.served.keys() | pod.failing | pod.silent) - moment.adapters.keys()):
            yield f"{pod.name} serves {name}, which does not exist"
    for wanted in moment.adapters.values():
        status = moment.statuses.get(wanted.name)
        if status is None or status.uid != wanted.uid or status.observed_generation != wanted.generation:
            yield f"{wanted.name}: the status is not of generation {wanted.generation}"
            continue
        served = [(pod, (pod.served or {}).get(wanted.name)) for pod in pods]
        if any(found is not None for _, found in served) is not status.available:
            yield f"{wanted.name}: Available is {status.available}, served is {_listed(served)}"
        if wanted.content is not None:
            yield from _good(wanted, status, served, replicas)
        else:
            yield from _bad(wanted, status, served, wanted.uid in kept)


def _good(
    wanted: Wanted, status: Status, served: list[tuple[SeenPod, frozenset[Content] | None]], replicas: int
) -> Iterator[str]:
    if not status.ready or status.updated != replicas:
        yield f"{wanted.name} is not Ready: {status.updated}/{replicas} {status.reason}: {status.message}"
    for pod, found in served:
        if found is None or wanted.content not in found:
            yield f"{wanted.name}: {pod.name} serves {found}, wanted {wanted.content}"


def _bad(
    wanted: Wanted, status: Status, served: list[tuple[SeenPod, frozenset[Content] | None]], kept: bool
) -> Iterator[str]:
    if status.ready:
        yield f"{wanted.name} is Ready although it cannot be had"
    for pod, found in served:
        if kept and (found is None or not found & set(wanted.ever)):
            yield f"{wanted.name}: {pod.name} gave up what it served for a wish that cannot be had; it serves {found}"


def _listed(served: list[tuple[SeenPod, frozenset[Content] | None]]) -> str:
    return ", ".join(f"{pod.name}: {found}" for pod, found in served) or "nothing"
