"""What serving a mixture relies on in vLLM, looked at once at start rather than found out under load."""

from argparse import Namespace

from starlette.datastructures import State
from vllm.engine.protocol import EngineClient
from vllm.entrypoints.serve.engine.serving import BaseServing

from lora_runtime.engine.vllm.requirements import refuse, takes


def check(client: EngineClient, state: State, args: Namespace) -> None:
    """Makes sure that it is there.

    Raises:
        Unsupported: names what is missing and what to do.
    """
    models = getattr(state, "openai_serving_models", None)
    needed = {
        "AsyncLLM.pause_generation(mode=)": takes(client, "pause_generation", "mode"),
        "AsyncLLM.resume_generation": hasattr(client, "resume_generation"),
        "AsyncLLM.reset_prefix_cache": hasattr(client, "reset_prefix_cache"),
        "AsyncLLM.collective_rpc(args=)": takes(client, "collective_rpc", "args"),
        "AsyncLLM.shutdown(timeout=)": takes(client, "shutdown", "timeout"),
        "OpenAIServingModels.model_name": takes(models, "model_name", "lora_request"),
        "OpenAIServingModels.registry.show_available_models": hasattr(
            getattr(models, "registry", None), "show_available_models"
        ),
        "BaseServing._check_model": takes(BaseServing, "_check_model", "request"),
    }
    refuse(needed, args)
