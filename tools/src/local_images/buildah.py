"""buildah, with its images and layers in a folder of our own, and this machine's way to the indexes lent to builds."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_images.errors import ImageError

_TRUST_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_TRUST_INSIDE = "/etc/ssl/certs/ca-certificates.crt"
_PIP_SETTINGS = {
    "PIP_INDEX_URL": "index-url",
    "PIP_EXTRA_INDEX_URL": "extra-index-url",
    "PIP_DEFAULT_TIMEOUT": "timeout",
}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_TIMEOUT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Buildah:
    """Runs buildah on the storage under one folder."""

    root: Path

    def run(self, *arguments: str | Path) -> str:
        """Runs one command; what it printed.

        Raises:
            ImageError: it failed; the message holds its last lines.
        """
        storage = (
            "--root",
            self.root / "storage",
            "--runroot",
            self.root / "run",
            "--storage-driver",
            "overlay",
        )
        done = subprocess.run(
            ["buildah", *storage, *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            env=os.environ | {"BUILDAH_ISOLATION": "chroot"},
        )
        if done.returncode != 0:
            told = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
            raise ImageError(f"`buildah {arguments[0]}` failed:\n{told}")
        return done.stdout.strip()

    def has(self, reference: str) -> bool:
        """Whether the storage holds the image."""
        return reference in self.run("images", "--all", "--format", "{{.Name}}:{{.Tag}}").splitlines()

    def try_imports(self, reference: str, modules: Sequence[str]) -> None:
        """Imports the modules in a container of the image, as its user.

        Raises:
            ImageError: one of them cannot be imported.
        """
        container = self.run("from", "--pull-never", reference)
        try:
            self.run(
                *("run", "--env", "HOME=/tmp", "--env", "USER=lora", container, "--"),
                *("python3", "-c", "import " + ", ".join(modules)),
            )
        finally:
            self.run("rm", container)

    def replace(self, dockerfile: Path, context: Path, reference: str, arguments: Mapping[str, str]) -> None:
        """Builds as `build` does, and removes the image that had the name; the steps of earlier builds stay."""
        before = self._ids(reference)
        self.build(dockerfile, context, reference, arguments)
        for old in before - self._ids(reference):
            self.run("rmi", old)

    def _ids(self, reference: str) -> set[str]:
        return set(self.run("images", "--quiet", reference).split()) if self.has(reference) else set()

    def build(self, dockerfile: Path, context: Path, reference: str, arguments: Mapping[str, str]) -> None:
        """Builds a Dockerfile; unchanged steps are taken from earlier builds."""
        with _lent(os.environ) as lent:
            self.run(
                *(
                    "bud",
                    "--layers",
                    "--pull-never",
                    "--network",
                    "host",
                    "--tag",
                    reference,
                    "--file",
                    dockerfile,
                ),
                *(f"--build-arg={name}={value}" for name, value in arguments.items()),
                *lent,
                context,
            )


@contextmanager
def _lent(environment: Mapping[str, str]) -> Iterator[list[str]]:
    """Flags that let a build use this machine's certificates, index and proxies without leaving them in the image."""
    bundle = next((environment[name] for name in _TRUST_VARIABLES if environment.get(name)), _TRUST_INSIDE)
    settings = [f"{key} = {environment[name]}" for name, key in _PIP_SETTINGS.items() if environment.get(name)]
    with tempfile.TemporaryDirectory(prefix="local-images-") as folder:
        pip = Path(folder) / "pip.conf"
        pip.write_text("\n".join(["[global]", f"cert = {_TRUST_INSIDE}", *settings, ""]))
        # The folder is private, the file in it is not: builds may run steps as another user.
        Path(folder).chmod(0o755)
        volumes = [f"--volume={pip}:/etc/pip.conf:ro"]
        if Path(bundle).is_file():
            volumes.append(f"--volume={bundle}:{_TRUST_INSIDE}:ro")
        yield volumes + [f"--build-arg={name}" for name in _PROXIES if environment.get(name)]
