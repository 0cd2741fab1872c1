"""What a pod says of mixtures that it is told to serve, as the runtime does; its engine only remembers."""

import hashlib

from lora_api.mixture_api import MixtureReport, MixtureSpec, MixtureState
from lora_api.v1alpha1.conditions import Reason

COMMIT = "1" * 40


class Mixing:
    """Serves what has as many experts as what it began with; more or fewer need another start."""

    def __init__(self, refuses: str = "") -> None:
        """Takes the digest of files that it cannot use, if there are any."""
        self.refuses = refuses
        self._experts: int | None = None
        self._serving: str | None = None

    def __call__(self, wanted: MixtureSpec) -> MixtureReport:
        """How far it is."""
        digests = {expert.digest for expert in wanted.experts}
        if self.refuses in digests:
            return self._report(
                wanted, MixtureState.FAILED, reason=Reason.SHAPE_MISMATCH, message="q_proj has another shape"
            )
        if self._experts not in (None, len(wanted.experts)):
            return self._report(wanted, MixtureState.NEEDS_RESTART)
        self._experts, self._serving = len(wanted.experts), wanted.revision
        return self._report(wanted, MixtureState.SERVING)

    def _report(self, wanted: MixtureSpec, state: MixtureState, **rest: object) -> MixtureReport:
        names = tuple(expert.name for expert in wanted.experts) or ("0", "1", "2")
        found = MixtureReport(
            revision=wanted.revision,
            state=state,
            serving=self._serving,
            experts=names,
            layers=14,
            trained=wanted.source is not None,
        )
        if wanted.source is not None and wanted.source.hugging_face is not None:
            pinned = wanted.source.hugging_face.model_copy(update={"revision": COMMIT})
            source = wanted.source.model_copy(update={"hugging_face": pinned})
            digest = "sha256:" + hashlib.sha256(source.describe().encode()).hexdigest()
            found = found.model_copy(update={"source": source, "digest": digest})
        return found.model_copy(update=rest)
