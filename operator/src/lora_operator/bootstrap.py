"""What must hold before the operator starts: the CRDs are there, and so is its certificate authority."""

import base64
from pathlib import Path

from lora_operator.clients import resources
from lora_operator.clients.certificates import CA_CERTIFICATE, CA_KEY, Authority, CertificateError
from lora_operator.clients.clock import Clock
from lora_operator.clients.kube import Kube, KubeError

CA_SECRET = "lora-operator-ca"  # noqa: S105  # its name


class NotReady(Exception):
    """The operator cannot start yet; the message says what to do, or that a restart will do."""


async def require_crds(kube: Kube, namespaces: tuple[str, ...]) -> None:
    """Makes sure that LoRAModels and LoRAAdapters are served, and that the operator may list them.

    Raises:
        NotReady: they are not.
    """
    for resource in (resources.MODELS, resources.ADAPTERS):
        for namespace in namespaces or (None,):
            try:
                await kube.list(resource, namespace)
            except KubeError as error:
                raise NotReady(
                    f"{resource.plural} cannot be listed: {error}. Install the CRDs (crds/*.yaml) and the operator's "
                    "role; the operator starts as soon as they are there"
                ) from error


async def authority(kube: Kube, namespace: str, folder: Path, clock: Clock) -> Authority:
    """The operator's certificate authority: from its mounted Secret, or made and kept as one at the first start.

    The Secret reaches later processes through the mount alone, since the operator may not read Secrets.

    Raises:
        NotReady: the Secret exists but is not mounted yet, or it cannot be created.
    """
    try:
        mounted = Authority.load(folder)
    except CertificateError as error:
        raise NotReady(str(error)) from error
    if mounted is not None:
        if mounted.ends <= clock.now():
            raise NotReady(
                f"the certificate authority in {folder} ended on {mounted.ends:%Y-%m-%d}; delete the Secret "
                f"{namespace}/{CA_SECRET}, and the operator makes another"
            )
        return mounted
    made = Authority.make(clock.now())
    manifest = {
        "apiVersion": resources.SECRETS.api_version,
        "kind": resources.SECRETS.kind,
        "metadata": {"name": CA_SECRET, "namespace": namespace},
        "data": {
            CA_CERTIFICATE: base64.b64encode(made.pem).decode(),
            CA_KEY: base64.b64encode(made.key_pem).decode(),
        },
    }
    try:
        created = await kube.create(resources.SECRETS, manifest)
    except KubeError as error:
        raise NotReady(f"the Secret {namespace}/{CA_SECRET} cannot be created: {error}") from error
    if not created:
        raise NotReady(
            f"the Secret {namespace}/{CA_SECRET} exists, but {folder} does not hold its {CA_CERTIFICATE} and {CA_KEY}: "
            "waiting for the kubelet to mount it; if this lasts, check the volume of the operator's pod"
        )
    return made
