"""The scalings of one answer, from whichever pod gave it."""

from dataclasses import dataclass

from lora_api.error_codes import ErrorCode
from lora_cli.clients import pods
from lora_cli.clients.objects import MODELS
from lora_cli.clients.serving import Serving, ThroughTheApiServer
from lora_cli.domain.objects import model_of
from lora_cli.domain.scalings import Generation, generation_of, refusal
from lora_cli.errors import Failed
from lora_cli.session import Session


@dataclass(frozen=True, slots=True)
class Kept:
    """What a pod still knows."""

    answer_id: str
    pod: str
    generations: tuple[Generation, ...]
    serving: Serving

    def texts(self) -> dict[int, str]:
        """What the tokens are, by their ids; asks any pod."""
        return self.serving.texts(token for found in self.generations for token in found.tokens)


def kept_scalings(session: Session, name: str, answer_id: str) -> Kept:
    """Asks the pods of a mixture one after the other.

    Raises:
        Failed: it is no mixture, keeps none, or no pod knows this answer.
    """
    if session.server is not None:
        raise Failed(
            ErrorCode.INVALID,
            f"{session.server.url} is a server without a cluster, which serves no mixture (X-LoRA), and so has no scalings: ask "
            f"for a LoRAModel with spec.mixture, without --server and LORA_SERVER",
        )
    model = model_of(session.objects.get(MODELS, name))
    if (refused := refusal(model)) is not None:
        raise refused
    told = pods.scalings(session.kube, model.meta.name, answer_id, session.api_key)
    generations = tuple(map(generation_of, told["generations"]))
    transport = ThroughTheApiServer(session.kube, model.meta.name, session.api_key)
    return Kept(answer_id, told["pod"], generations, Serving(transport, model.served_name))
