"""What each image is made from, and the key that says whether one already made is still right."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUITE = "bookworm"
BASE_PACKAGES = ("ca-certificates", "libgomp1", "libnuma1", "python3", "python3-venv")
"""What the images need of Debian: Python 3.11, and the two libraries that torch's CPU kernels link to."""

BASE_KEY = hashlib.sha256(" ".join((SUITE, *BASE_PACKAGES)).encode()).hexdigest()[:12]

_WHEEL = ("pyproject.toml", "README.md", "LICENSE", "crds/src", "operator/src", "runtime/src")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One image: its Dockerfile and everything that the Dockerfile copies."""

    name: str
    dockerfile: str
    inputs: tuple[str, ...]
    """Files and folders, relative to the repository's root."""
    disk_gib: float
    """Room that a first build takes."""
    expectation: str
    """How long a first build takes, for people."""
    imports: tuple[str, ...]
    """Modules that the image's Python must be able to import as the image's user."""

    @property
    def reference(self) -> str:
        """The image's full name."""
        return f"localhost/lora-{self.name}:dev"

    def key(self, root: Path) -> str:
        """Changes whenever the image would: hash of the base and of every input's path and bytes."""
        digest = hashlib.sha256(BASE_KEY.encode())
        for path in self._files(root):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(root)}\0{content}\n".encode())
        return digest.hexdigest()[:12]

    def _files(self, root: Path) -> Iterator[Path]:
        for name in sorted((self.dockerfile, *self.inputs)):
            top = root / name
            found = sorted(top.rglob("*")) if top.is_dir() else [top]
            yield from (path for path in found if not path.is_dir() and "__pycache__" not in path.parts)


OPERATOR = Recipe(
    name="operator",
    dockerfile="operator/Dockerfile",
    inputs=("requirements/operator.txt", *_WHEEL),
    disk_gib=2,
    expectation="about a minute",
    imports=("lora_operator.app", "kopf", "kubernetes.aio"),
)
RUNTIME_THIN = Recipe(
    name="runtime-thin",
    dockerfile="runtime/Dockerfile.thin",
    inputs=_WHEEL,
    disk_gib=2,
    expectation="seconds",
    imports=("lora_api", "lora_runtime"),
)
RUNTIME_CPU = Recipe(
    name="runtime-cpu",
    dockerfile="runtime/Dockerfile.cpu",
    inputs=("requirements/runtime-cpu.txt", *_WHEEL),
    disk_gib=22,
    expectation="5 to 8 minutes on 2 cores",
    imports=("lora_runtime", "vllm.entrypoints.openai.api_server"),
)
BY_NAME = {recipe.name: recipe for recipe in (OPERATOR, RUNTIME_THIN, RUNTIME_CPU)}
