"""What the runtime relies on in vLLM, looked at once at start rather than found out under load."""

import inspect
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import vllm
from starlette.datastructures import State
from vllm.engine.protocol import EngineClient
from vllm.entrypoints.serve.engine.serving import BaseServing
from vllm.v1.engine.output_processor import RequestOutputCollector


class Unsupported(RuntimeError):
    """This vLLM, or the way it was started, cannot keep the runtime's promises."""


def check(client: EngineClient, state: State, args: Namespace) -> None:
    """Makes sure that it is there.

    Raises:
        Unsupported: names what is missing and what to do.
    """
    models = getattr(state, "openai_serving_models", None)
    needed = {
        "EngineClient.add_lora": hasattr(client, "add_lora"),
        "AsyncLLM.remove_lora": hasattr(client, "remove_lora"),
        "AsyncLLM.generate(lora_request=)": takes(client, "generate", "lora_request"),
        "AsyncLLM.add_request(lora_request=)": takes(client, "add_request", "lora_request"),
        "AsyncLLM.shutdown(timeout=)": takes(client, "shutdown", "timeout"),
        "AsyncLLM.logger_manager.stat_loggers": _logs(client),
        "RequestOutputCollector.put": takes(RequestOutputCollector, "put", "output"),
        "LoRAConfig.max_loras, .max_cpu_loras": _limited(client),
        "OpenAIServingModels.lora_requests": isinstance(getattr(models, "lora_requests", None), dict),
        "OpenAIServingModels.lora_id_counter.inc": hasattr(getattr(models, "lora_id_counter", None), "inc"),
        "OpenAIServingModels.model_name": takes(models, "model_name", "lora_request"),
        "OpenAIServingModels.registry.show_available_models": hasattr(
            getattr(models, "registry", None), "show_available_models"
        ),
        "BaseServing._check_model": takes(BaseServing, "_check_model", "request"),
        "BaseServing._maybe_get_adapters": takes(BaseServing, "_maybe_get_adapters", "request"),
        "OpenAIServingCompletion.create_completion": takes(
            getattr(state, "openai_serving_completion", None), "create_completion", "raw_request"
        ),
        "LoRAModelManager._last_slot_layout": _recomputes_slots(),
    }
    refuse(needed, args)


def refuse(needed: Mapping[str, bool], args: Namespace) -> None:
    """Ends the start where something is not there.

    Args:
        needed: By its name, whether it is.
        args: That the server was started with.

    Raises:
        Unsupported: names what is missing and what to do.
    """
    if missing := sorted(name for name, there in needed.items() if not there):
        raise Unsupported(
            f"vLLM {vllm.__version__} lacks {', '.join(missing)}: use the vLLM version that this runtime was built for"
        )
    if getattr(args, "api_server_count", None) not in (None, 1):
        raise Unsupported(
            f"--api-server-count is {args.api_server_count}, but API servers do not share their adapters: set it to 1"
        )


def _logs(client: Any) -> bool:
    """None where statistics are off."""
    manager = getattr(client, "logger_manager", False)
    return manager is None or hasattr(manager, "stat_loggers")


def _limited(client: Any) -> bool:
    limits = getattr(getattr(client, "vllm_config", None), "lora_config", None)
    return isinstance(getattr(limits, "max_loras", None), int) and isinstance(
        getattr(limits, "max_cpu_loras", None), int
    )


def takes(owner: object, function: str, parameter: str) -> bool:
    """Whether a function is there, with that parameter."""
    found = getattr(owner, function, None)
    return callable(found) and parameter in inspect.signature(found).parameters


def _recomputes_slots() -> bool:
    """Whether a load between two steps makes the next step look at the slots again (vllm-project/vllm#47724)."""
    from vllm.lora import model_manager

    return "_last_slot_layout" in inspect.getsource(model_manager)
