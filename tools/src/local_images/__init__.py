"""Container images built on this machine without a container engine.

A development tool: `make images` and the demo use it. It is not part of the product and not in the wheel.
The Dockerfiles build anywhere; what is special here is the base image (Debian's own packages, since no registry is
needed for those) and the trust in this machine's certificates, which is lent to the build and not left in the image.

    path = archive(OPERATOR)      # a docker archive, at once if nothing changed
"""

from local_images.archives import archive
from local_images.recipes import BY_NAME, OPERATOR, RUNTIME_CPU, RUNTIME_THIN, Recipe

__all__ = ["BY_NAME", "OPERATOR", "RUNTIME_CPU", "RUNTIME_THIN", "Recipe", "archive"]
