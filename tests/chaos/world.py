"""What the driver and the observer need of a place where chaos is made."""

from typing import Protocol

from chaos.excuses import Excuses
from chaos.model import ModelUser
from chaos.sightings import Answered
from chaos.steps import Step
from chaos.user import Users
from chaos.watching import Following


class World(Protocol):
    """A cluster with one LoRAModel, its pods and the operator."""

    users: Users
    excuses: Excuses
    adapters: Following
    models: Following
    pods: Following
    owner: ModelUser

    @property
    def deaths(self) -> int:
        """How often the operator ended by itself."""
        ...

    def harm(self, step: Step) -> bool:
        """Does what is not an edit of an adapter; what lasts a while ends by itself. Whether it killed a process."""
        ...

    def heal(self) -> None:
        """Ends everything that lasts."""
        ...

    async def served(self, pod: str) -> Answered | None:
        """Asks a pod. None: no answer."""
        ...
