"""What each reason means to the one who has to act, and the command to type next.

The long form of each is in docs/troubleshooting.md, which a test holds against this table.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from lora_api.v1alpha1.conditions import Reason
from lora_cli.domain.subject import Subject


@dataclass(frozen=True, slots=True)
class Advice:
    """For one reason; what is in braces in the command is the subject's."""

    meaning: str
    command: str

    def command_for(self, about: Subject) -> str:
        """The command to type."""
        return self.command.format(**asdict(about))


_ADAPTERS = "kubectl lora status -n {namespace}"
_MODEL = "kubectl lora describe {model} -n {namespace}"
_AGAIN = "kubectl lora describe {name} -n {namespace}"
_EDIT = "kubectl edit {kind} {name} -n {namespace}"
_EDIT_MODEL = "kubectl edit loramodel {model} -n {namespace}"
_REMOVE = "kubectl lora rm {name} -n {namespace}"
_ROLLBACK = "kubectl lora rollback {name} -n {namespace}"
_PODS = "kubectl get pods -n {namespace} -l lora-operator.io/model={model}"
_LOGS = "kubectl logs -n {namespace} -l lora-operator.io/model={model} --tail=50"
_REFRESH = 'kubectl annotate loraadapter {name} -n {namespace} --overwrite lora-operator.io/refresh="$(date +%s)"'

ADVICE: Mapping[Reason, Advice] = MappingProxyType(
    {
        Reason.MODEL_NOT_FOUND: Advice(
            "Create the model, and the adapter heals by itself. If the model's name is misspelled: remove the adapter "
            "and add it with the right one, as it cannot be changed.",
            _ADAPTERS,
        ),
        Reason.NAME_CONFLICT: Advice(
            "The older object keeps the name. Give this one another spec.servedName, or remove the other.", _ADAPTERS
        ),
        Reason.MEMBER_NOT_FOUND: Advice(
            "Add the missing member to the same model, or blend without it. What was served before is served on.",
            _ADAPTERS,
        ),
        Reason.BLEND_CYCLE: Advice("The blend is made of itself. Take one member out of one of the blends.", _EDIT),
        Reason.CREDENTIALS_NOT_MOUNTED: Advice(
            "A running pod cannot gain a Secret: list it in spec.credentials of the model, whose pods then restart one "
            "by one.",
            _EDIT_MODEL,
        ),
        Reason.VOLUME_NOT_MOUNTED: Advice(
            "See whether its name is misspelled. If not: a running pod cannot gain a volume, so list it in spec.volumes of "
            "the model, whose pods then restart one by one.",
            _EDIT_MODEL,
        ),
        Reason.MODEL_IS_MIXTURE: Advice(
            "The model mixes its experts itself and serves nothing beside that. Serve this adapter by a plain model: as modelRef "
            "cannot be changed, remove it and add it there.",
            _REMOVE,
        ),
        Reason.SOURCE_FORBIDDEN: Advice(
            "The administrator does not allow this place; the message names the rule. Take another, or ask for it.",
            _EDIT,
        ),
        Reason.FETCHING: Advice("A pod is downloading the files. Wait.", _AGAIN),
        Reason.SOURCE_NOT_FOUND: Advice(
            "Correct the source. A private repository looks like a missing one: see whether it needs credentials.",
            _EDIT,
        ),
        Reason.UNAUTHORIZED: Advice(
            "The server of the files refuses the credentials, or wants some. Correct the Secret: it is read again for "
            "each try.",
            "kubectl get {kind} {name} -n {namespace} -o jsonpath='{{..credentialsRef}}'",
        ),
        Reason.DIGEST_MISMATCH: Advice(
            "The files are not those that were pinned. Find out who changed them; if the new ones are wanted, correct "
            "the pin, or without one ask for a fresh look.",
            _REFRESH,
        ),
        Reason.SOURCE_UNREACHABLE: Advice(
            "It is tried again by itself. Look at the network between the pods and the server.", _LOGS
        ),
        Reason.SOURCE_TOO_LARGE: Advice("Mostly this is a whole model. Name the folder that holds the adapter.", _EDIT),
        Reason.STORE_FULL: Advice(
            "Remove adapters, or raise spec.cache.sizeLimit of the model to what the message says.", _EDIT_MODEL
        ),
        Reason.MODEL_NOT_AVAILABLE: Advice("No pod of the model answers yet. Look at the model.", _MODEL),
        Reason.MEMBER_NOT_READY: Advice("Look at the member that the message names.", _ADAPTERS),
        Reason.RANK_TOO_LARGE: Advice(
            "Raise spec.adapters.maxRank of the model (its pods restart, and each slot takes more device memory), train "
            "a smaller rank, or give a blend the method SVD with a rank.",
            _EDIT_MODEL,
        ),
        Reason.SHAPE_MISMATCH: Advice(
            "It was trained on another base model: see base_model_name_or_path in its adapter_config.json, and add it "
            "to the right model.",
            _REMOVE,
        ),
        Reason.UNKNOWN_MODULES: Advice(
            "It was trained on another base model, or with target_modules that cannot be served.", _REMOVE
        ),
        Reason.UNSUPPORTED_FEATURE: Advice("vLLM cannot serve what the message names. Train without it.", _REMOVE),
        Reason.MALFORMED_ADAPTER: Advice(
            "The files are damaged or incomplete. Save them again with PEFT's save_pretrained, and upload them.",
            _REMOVE,
        ),
        Reason.UNSAFE_FORMAT: Advice(
            "Pickled tensors can run code. Save them with safe_serialization=True where you trust them.", _REMOVE
        ),
        Reason.BASE_MODEL_MISMATCH: Advice(
            "It was trained on another base model. Remove it, and add it to the right one.", _REMOVE
        ),
        Reason.LOADING: Advice("Pods are loading the revision. Wait.", _AGAIN),
        Reason.LOAD_FAILED: Advice(
            "The engine refused files that fit. It is tried again; what served before serves on. If one pod fails, "
            "delete that pod; if all do, go back to the revision before.",
            _ROLLBACK,
        ),
        Reason.VERIFY_FAILED: Advice(
            "It does not answer spec.verify.prompt as it must, and no client has seen it. Correct either, or go back.",
            _ROLLBACK,
        ),
        Reason.POD_UNREACHABLE: Advice(
            "A pod serves and does not answer the operator. Mostly a NetworkPolicy is in the way, or the process hangs.",
            _PODS,
        ),
        Reason.UPDATE_HELD: Advice(
            "All pods serve the old revision, because one cannot prepare the new one. Remove the cause, or that pod.",
            _PODS,
        ),
        Reason.NO_READY_PODS: Advice("No pod of the model is ready. Look at the model.", _MODEL),
        Reason.INVALID_NAME: Advice(
            "Names of models are DNS labels of at most 40 characters. Create it under another.",
            "kubectl get loramodel {model} -n {namespace} -o yaml",
        ),
        Reason.INVALID_POD_TEMPLATE: Advice(
            "Nothing was changed: pods that ran run on. Correct spec.podTemplate.", _EDIT_MODEL
        ),
        Reason.SCALED_TO_ZERO: Advice(
            "Somebody wants no pods.", "kubectl scale loramodel {model} -n {namespace} --replicas=1"
        ),
        Reason.ROLLING_OUT: Advice(
            "Pods are being replaced, one by one. Wait.", "kubectl rollout status deployment/{model} -n {namespace}"
        ),
        Reason.MODEL_LOADING: Advice(
            "Pods are starting, or load the base model; minutes are normal, and the first start downloads it.", _PODS
        ),
        Reason.UNSCHEDULABLE: Advice(
            "No node has room, or the device. Add nodes, or correct spec.resources, accelerator or podTemplate.", _PODS
        ),
        Reason.IMAGE_PULL_FAILED: Advice(
            "Correct the chart's runtimeImages, or give the pods imagePullSecrets in spec.podTemplate.", _PODS
        ),
        Reason.ENGINE_CRASHING: Advice(
            "vLLM ends at its start, or again and again. Look which pod, and read its last words with kubectl logs --previous.",
            _PODS,
        ),
        Reason.OUT_OF_MEMORY: Advice("Raise spec.resources.limits.memory of the model.", _EDIT_MODEL),
        Reason.POD_FAILED: Advice("A pod cannot run; the message has the cause.", f"{_PODS} -o wide"),
        Reason.PENDING: Advice(
            "Something else comes first; look at the conditions.", "kubectl lora doctor -n {namespace}"
        ),
    }
)

_IN_A_VOLUME: Mapping[Reason, Advice] = MappingProxyType(
    {
        Reason.SOURCE_NOT_FOUND: Advice(
            "The message says what the volume has there. Correct the path, which begins at the volume's own root, or copy the "
            "files there.",
            _EDIT,
        ),
        Reason.UNAUTHORIZED: Advice(
            "The pods may not read the files: they need the permission to read for others, or for a group that "
            "spec.podTemplate gives the pods.",
            _EDIT_MODEL,
        ),
    }
)
_OF_A_CONTAINER: Mapping[Reason, Advice] = MappingProxyType(
    {
        Reason.ENGINE_CRASHING: Advice(
            "It ends at its start, or again and again. Read its last words.",
            "kubectl logs -n {namespace} {pod} -c {container} --previous",
        )
    }
)
_OF_A_POD: Mapping[Reason, Advice] = MappingProxyType(
    {
        reason: Advice(ADVICE[reason].meaning, "kubectl describe pod -n {namespace} {pod}")
        for reason in (Reason.POD_FAILED, Reason.UNSCHEDULABLE)
    }
)

NOT_SEEN = Advice(
    "The operator has not seen the last edit. If that lasts for more than a few seconds, no operator is at work.",
    "kubectl lora doctor -n {namespace}",
)


_UNKNOWN = Advice("", "kubectl describe {kind} {name} -n {namespace}")


def advice_for(reason: str, about: Subject) -> Advice:
    """What to do about a reason; one that a newer operator writes has words of its own in the message."""
    try:
        known = Reason(reason)
    except ValueError:
        return _UNKNOWN
    if about.in_volume and known in _IN_A_VOLUME:
        return _IN_A_VOLUME[known]
    if about.container and known in _OF_A_CONTAINER:
        return _OF_A_CONTAINER[known]
    if about.pod and known in _OF_A_POD:
        return _OF_A_POD[known]
    return ADVICE.get(known, _UNKNOWN)
