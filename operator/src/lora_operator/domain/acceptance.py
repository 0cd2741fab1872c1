"""Whether objects make sense: the rules of the condition `Accepted`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lora_api.egress import DEFAULT as DEFAULT_EGRESS
from lora_api.egress import Egress
from lora_api.recipes import side_by_side
from lora_api.recipes.outcome import Rejected
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_operator.domain.host_access import host_access
from lora_operator.domain.observed import ObservedModel, Snapshot

_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
"""A Service takes DNS-1035 names; 40 characters leave room for suffixes within the 63 of a label."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator was told to allow."""

    allow_host_path: bool = False
    """Local clusters only: a hostPath volume lets its author read the node's files."""
    egress: Egress = DEFAULT_EGRESS
    """Which servers sources may name; pods judge what these names turn out to be."""
    allow_host_access: bool = False
    """Whether a podTemplate may ask for the node's network, processes or privileges."""


def model_rejection(snapshot: Snapshot, policy: Policy, render_error: str | None = None) -> Rejected | None:
    """Why the LoRAModel cannot be acted upon, or None.

    `render_error` says why its children could not be rendered; None also when nobody has tried.
    """
    model = snapshot.model
    if model is None:
        return None
    name = model.meta.name
    if not _SERVICE_NAME.fullmatch(name):
        return Rejected(
            Reason.INVALID_NAME,
            f"metadata.name {name!r} cannot name a Service: it must be at most 40 lower-case letters, digits "
            "and '-', start with a letter and not end with '-'; create the LoRAModel under another name",
        )
    if snapshot.conflicting:
        taken = "; ".join(f"{child} belongs to {who}" for child, who in sorted(snapshot.conflicting.items()))
        return Rejected(
            Reason.NAME_CONFLICT,
            f"objects of this LoRAModel's name exist already: {taken}; "
            "delete or rename them, or create the LoRAModel under another name",
        )
    forbidden = () if policy.allow_host_path else tuple(_node_folders(model))
    if forbidden:
        return Rejected(
            Reason.SOURCE_FORBIDDEN,
            f"{', '.join(forbidden)} would mount a folder of the node (hostPath), which this operator does not "
            "allow; use a pvc, or on a local cluster set the Helm value `allowHostPath` "
            "(LORA_OPERATOR_ALLOW_HOST_PATH)",
        )
    reaching_out = () if policy.allow_host_access else host_access(model.spec.pod_template)
    if reaching_out:
        return Rejected(
            Reason.INVALID_POD_TEMPLATE,
            f"{', '.join(reaching_out)} would give the pods a part of their node, which this operator does not allow; "
            "take it out, or have the Helm value `allowHostAccess` (LORA_OPERATOR_ALLOW_HOST_ACCESS) set",
        )
    if render_error is not None:
        return Rejected(Reason.INVALID_POD_TEMPLATE, f"the pods cannot be described: {render_error}")
    return None


def rejections(snapshot: Snapshot, policy: Policy) -> Mapping[str, Rejected]:
    """The adapters that are not accepted, by UID; one that is missing here is accepted."""
    model = snapshot.model
    if model is None:
        missing = Rejected(
            Reason.MODEL_NOT_FOUND,
            f"there is no LoRAModel {snapshot.key.name} in namespace {snapshot.key.namespace}; create it, or if "
            "spec.modelRef is misspelled, which cannot be changed, delete the LoRAAdapter and create it with the right one",
        )
        return {adapter.meta.uid: missing for adapter in snapshot.adapters}
    if model.spec.mixture is not None:
        barred = Rejected(
            Reason.MODEL_IS_MIXTURE,
            f"LoRAModel {model.meta.name} is an X-LoRA (spec.mixture), which serves no adapters by themselves; create the "
            "LoRAAdapter for a plain LoRAModel of the same base model, and name it in spec.mixture.experts if it is to be "
            "one of the experts",
        )
        return {adapter.meta.uid: barred for adapter in snapshot.adapters}
    # Whatever else is wrong with it, the oldest object that claims a name has it.
    oldest_first = sorted(snapshot.adapters, key=lambda a: (a.meta.created, a.meta.uid))
    base = model.spec.served_name or model.meta.name
    return side_by_side.rejections(oldest_first, base, lambda spec: source_rejection(spec.source, model, policy))


def source_rejection(source: AdapterSource | None, model: ObservedModel, policy: Policy) -> Rejected | None:
    """Why the pods of the model may not fetch from there, or None."""
    if source is None:
        return None
    if source.volume is not None:
        volume = source.volume.name
        mounted = [entry.name for entry in model.spec.volumes]
        if volume not in mounted:
            return Rejected(
                Reason.VOLUME_NOT_MOUNTED,
                f"the pods do not mount a volume {volume!r} (mounted: {', '.join(mounted) or 'none'}); correct the name, or add an "
                f"entry with that name to spec.volumes of LoRAModel {model.meta.name} (this restarts its pods, one by one)",
            )
        if volume in _forbidden_volumes(model, policy):
            return Rejected(
                Reason.SOURCE_FORBIDDEN,
                f"the volume {volume!r} of LoRAModel {model.meta.name} is a folder of the node (hostPath), "
                "which this operator does not allow; use a pvc",
            )
    host = source.host
    problem = None if host is None else policy.egress.refusal(host)
    if problem is not None:
        return Rejected(Reason.SOURCE_FORBIDDEN, f"{source.describe()} may not be fetched: {problem}")
    return _credentials_rejection(source, model)


def _credentials_rejection(source: AdapterSource, model: ObservedModel) -> Rejected | None:
    if source.credentials_ref is None:
        return None
    secret = source.credentials_ref.name
    entries = [entry for entry in model.spec.credentials if entry.secret_ref.name == secret]
    if not entries:
        return Rejected(
            Reason.CREDENTIALS_NOT_MOUNTED,
            f"the pods do not mount the Secret {secret!r}; add {{secretRef: {{name: {secret}}}}} to "
            f"spec.credentials of LoRAModel {model.meta.name} (this restarts its pods, one by one)",
        )
    host = source.credentials_host
    for entry in entries:
        if host is not None and not entry.may_be_shown_to(host):
            return Rejected(
                Reason.SOURCE_FORBIDDEN,
                f"{source.describe()} may not be fetched with the Secret {secret!r}: spec.credentials of LoRAModel "
                f"{model.meta.name} lets {', '.join(entry.hosts or ())} see it only, and {host} is none of them; name "
                f"another source or Secret, or have {host} added to the `hosts` of {secret!r} there (no pod restarts)",
            )
    return None


def _node_folders(model: ObservedModel) -> Iterator[str]:
    """Where the spec asks for a hostPath; its own volumes and those of the pod template are all that pods get."""
    yield from (f"spec.volumes {volume.name}" for volume in model.spec.volumes if volume.host_path is not None)
    # Nothing has checked the template's shape yet.
    pod = model.spec.pod_template.get("spec")
    volumes = pod.get("volumes") if isinstance(pod, Mapping) else None
    for volume in volumes if isinstance(volumes, list) else ():
        if isinstance(volume, Mapping) and volume.get("hostPath") is not None:
            yield f"spec.podTemplate.spec.volumes {volume.get('name')}"


def _forbidden_volumes(model: ObservedModel, policy: Policy) -> frozenset[str]:
    if policy.allow_host_path:
        return frozenset()
    return frozenset(volume.name for volume in model.spec.volumes if volume.host_path is not None)
