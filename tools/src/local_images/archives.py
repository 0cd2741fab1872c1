"""Image archives in the cache, each made once from its recipe."""

import shutil
from pathlib import Path

from local_cluster import locking
from local_cluster.layout import cache_root
from local_cluster.progress import Progress, Silence
from local_images import base, packages
from local_images.buildah import Buildah
from local_images.errors import ImageError
from local_images.recipes import Recipe

_ROOT = Path(__file__).resolve().parents[3]


def archive_path(recipe: Recipe) -> Path:
    """Where the image's archive lies once it is built; another path as soon as anything in it changes."""
    return _folder() / f"lora-{recipe.name}-{recipe.key(_ROOT)}.tar"


def archive(recipe: Recipe, progress: Progress | None = None) -> Path:
    """Builds the image and exports it as a docker archive, unless that was done; where the archive lies.

    Older archives of the same image are removed.

    Raises:
        ImageError: a program or room is missing, or a build failed.
    """
    progress = progress or Silence()
    target = archive_path(recipe)
    if target.exists():
        return target
    _check_room(recipe)

    def waiting() -> None:
        progress.say("another process is building images: waiting for it")

    with locking.exclusive(_folder() / ".lock", waiting):
        if not target.exists():
            _make(recipe, target, progress)
    return target


def make_base(progress: Progress | None = None) -> str:
    """Makes the base image, unless that was done; its name in buildah's storage."""
    progress = progress or Silence()
    with locking.exclusive(_folder() / ".lock"):
        _ensure_base(Buildah(_folder()), progress)
    return base.REFERENCE


def _make(recipe: Recipe, target: Path, progress: Progress) -> None:
    buildah = Buildah(_folder())
    _ensure_base(buildah, progress)
    with progress.step(f"building {recipe.reference} (the first time {recipe.expectation})"):
        buildah.replace(_ROOT / recipe.dockerfile, _ROOT, recipe.reference, {"BASE_IMAGE": base.REFERENCE})
    with progress.step(f"trying {recipe.reference}"):
        buildah.try_imports(recipe.reference, recipe.imports)
    draft = target.with_suffix(".part")
    draft.unlink(missing_ok=True)  # left by a killed run
    with progress.step(f"exporting {recipe.reference}"):
        buildah.run("push", "--disable-compression", recipe.reference, f"docker-archive:{draft}:{recipe.reference}")
    for older in _folder().glob(f"lora-{recipe.name}-*.tar"):
        older.unlink()
    draft.rename(target)


def _ensure_base(buildah: Buildah, progress: Progress) -> None:
    packages.ensure(progress)
    if not buildah.has(base.REFERENCE):
        with progress.step("making the base image from Debian's packages (once per machine, about a minute)"):
            base.make(buildah)


def _check_room(recipe: Recipe) -> None:
    _folder().mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(_folder()).free / 2**30
    if free < recipe.disk_gib:
        raise ImageError(
            f"building {recipe.reference} needs {recipe.disk_gib:g} GiB of disk at {_folder()}, and {free:.1f} are "
            "free: free some, or set LORA_CACHE to a folder on a larger disk"
        )


def _folder() -> Path:
    return cache_root() / "images"
