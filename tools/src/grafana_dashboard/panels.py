"""What the dashboard shows, from top to bottom: what is wrong first, then what clients feel, then why."""

from dataclasses import dataclass, field

_OPERATOR = 'namespace=~"$namespace", model=~"$model"'
_ADAPTER = _OPERATOR + ', adapter=~"$adapter"'
_VLLM = _OPERATOR


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and how its series are called; `{{label}}` stands for a label's value."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. A third of the width unless it says otherwise."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    about: str = ""
    stacked: bool = False
    columns: tuple[str, ...] = field(default=())
    """Of a table: the labels that are its columns."""
    good_from: float | None = None
    """Of a number: red below."""
    bad_from: float | None = None
    """Of a number: red from here on."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels below a heading."""

    title: str
    panels: tuple[Panel, ...]


def _rate(series: str, by: str, selector: str = _ADAPTER) -> str:
    return f"sum by ({by}) (rate({series}{{{selector}}}[$__rate_interval]))"


def _quantile(share: float, series: str, by: str, selector: str = _ADAPTER) -> str:
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, {_rate(series + '_bucket', labels, selector)})"


def _number(
    title: str,
    expr: str,
    about: str,
    *,
    good_from: float | None = None,
    bad_from: float | None = 1,
    unit: str = "short",
) -> Panel:
    # A series that nobody has written to yet is none.
    queries = (Query(f"{expr} or vector(0)"),)
    return Panel(
        title, queries, unit, kind="stat", width=4, height=4, about=about, good_from=good_from, bad_from=bad_from
    )


_NOW = Row(
    "Now",
    (
        _number(
            "Operators that act",
            "sum(lora_operator_leader)",
            "1 is right. With 0 pods serve on, and no change is applied.",
            good_from=1,
            bad_from=2,
        ),
        _number(
            "Models not Ready",
            f'count(lora_operator_model_info{{{_OPERATOR}, ready!="True"}})',
            "kubectl get loramodels says which and why.",
        ),
        _number(
            "Adapters not Ready",
            f'sum(lora_operator_adapters{{{_OPERATOR}, ready!="True"}})',
            "kubectl get loraadapters says which and why.",
        ),
        _number(
            "Pods that do not answer",
            f"sum(lora_operator_unreachable_pods{{{_OPERATOR}}})",
            "Pods that serve, and do not answer the operator.",
        ),
        _number(
            "Requests that fail",
            f'sum(rate(lora_runtime_requests_total{{{_ADAPTER}, outcome="failed"}}[$__rate_interval]))'
            f" / (sum(rate(lora_runtime_requests_total{{{_ADAPTER}}}[$__rate_interval])) > 0)",
            "Answers of 5xx, and answers that broke off.",
            bad_from=0.05,
            unit="percentunit",
        ),
        _number(
            "Drains in flight",
            f'sum(lora_runtime_revisions{{{_OPERATOR}, state="Draining"}})',
            "Old revisions that requests still use.",
            bad_from=None,
        ),
        Panel(
            "Not Ready, by reason",
            (
                Query(
                    f'sum by (model, reason) (lora_operator_adapters{{{_OPERATOR}, ready!="True"}})',
                    "{{model}} {{reason}}",
                ),
            ),
            width=9,
            stacked=True,
            about="LoRAAdapters that are not as wished. What each reason means: docs/troubleshooting.md.",
        ),
        Panel(
            "Revisions in the pods",
            (Query(f"max by (model, adapter, revision, state, pod) (lora_runtime_adapter_info{{{_ADAPTER}}})"),),
            kind="table",
            width=15,
            columns=("model", "adapter", "revision", "state", "pod"),
            about="What every pod says that it has. Two revisions that are Serving under one name are an update under way.",
        ),
    ),
)

_TRAFFIC = Row(
    "What clients feel",
    (
        Panel("Requests", (Query(_rate("lora_runtime_requests_total", "adapter"), "{{adapter}}"),), "reqps"),
        Panel(
            "Requests that did not go well",
            (
                Query(
                    _rate("lora_runtime_requests_total", "adapter, outcome", _ADAPTER + ', outcome!="ok"') + " > 0",
                    "{{adapter}} {{outcome}}",
                ),
            ),
            "reqps",
            about="refused: 4xx; failed: 5xx or broken off; aborted: the client left. _unknown: names that nobody declared.",
        ),
        Panel(
            "Tokens",
            (
                Query(_rate("lora_runtime_prompt_tokens_total", "adapter"), "{{adapter}} prompts"),
                Query(_rate("lora_runtime_generation_tokens_total", "adapter"), "{{adapter}} answers"),
            ),
            "si:tok/s",
        ),
        Panel(
            "Time to first token, 99 of 100",
            (Query(_quantile(0.99, "lora_runtime_time_to_first_token_seconds", "adapter"), "{{adapter}}"),),
            "s",
            about="The load of an adapter that waited on disk is in it.",
        ),
        Panel(
            "Time to first token, median",
            (Query(_quantile(0.5, "lora_runtime_time_to_first_token_seconds", "adapter"), "{{adapter}}"),),
            "s",
        ),
        Panel(
            "Time between tokens, 99 of 100",
            (Query(_quantile(0.99, "lora_runtime_inter_token_latency_seconds", "adapter"), "{{adapter}}"),),
            "s",
        ),
    ),
)

_CHANGES = Row(
    "Changes",
    (
        Panel(
            "A change until every pod serves it",
            (
                Query(_quantile(0.5, "lora_operator_change_seconds", "", ""), "median"),
                Query(_quantile(0.99, "lora_operator_change_seconds", "", ""), "99 of 100"),
            ),
            "s",
            width=12,
            about="From the edit of a LoRAAdapter to the status that says so.",
        ),
        Panel(
            "Where the time of a change goes, 95 of 100",
            (Query(_quantile(0.95, "lora_operator_change_stage_seconds", "stage", ""), "{{stage}}"),),
            "s",
            width=12,
            about="What each stage is: docs/how-to/trace.md.",
        ),
        Panel(
            "Time that revisions take, 95 of 100",
            (Query(_quantile(0.95, "lora_runtime_swap_seconds", "stage", _OPERATOR), "{{stage}}"),),
            "s",
            about="prepare: fetch, check, load; flip: the name answers with it; drain: the one before is gone.",
        ),
        Panel(
            "Revisions that began to serve",
            (
                Query(
                    f'round(sum by (pod) (increase(lora_runtime_swap_seconds_count{{{_OPERATOR}, stage="flip"}}[$__rate_interval])))',
                    "{{pod}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Preparations that failed",
            (
                Query(
                    f"round(sum by (pod, reason) (increase(lora_runtime_failures_total{{{_OPERATOR}}}[$__rate_interval])))",
                    "{{pod}} {{reason}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Loads into the engine",
            (
                Query(_quantile(0.5, "lora_runtime_load_seconds", "model", _OPERATOR), "{{model}} median"),
                Query(_quantile(0.99, "lora_runtime_load_seconds", "model", _OPERATOR), "{{model}} 99 of 100"),
            ),
            "s",
            about="For new revisions, and for requests that ask for an adapter that waits on disk.",
        ),
        Panel(
            "How often the engine loads",
            (Query(_rate("lora_runtime_load_seconds_count", "pod", _OPERATOR), "{{pod}}"),),
            "ops",
            about="Many without changes: more adapters are in use at once than fit; raise adapters.maxCached.",
        ),
        Panel(
            "Drains in flight",
            (Query(f'sum by (pod) (lora_runtime_revisions{{{_OPERATOR}, state="Draining"}})', "{{pod}}"),),
        ),
    ),
)

_ROOM = Row(
    "Room",
    (
        Panel(
            "Adapters by where they wait",
            (
                Query(f"sum by (pod, tier) (lora_runtime_adapters{{{_OPERATOR}}})", "{{pod}} {{tier}}"),
                Query(f"max by (model) (lora_runtime_max_cached_adapters{{{_OPERATOR}}})", "{{model}} most in Host"),
                Query(f"max by (model) (lora_runtime_slots{{{_OPERATOR}}})", "{{model}} slots of a batch"),
            ),
        ),
        Panel(
            "Store",
            (
                Query(f"sum by (pod, kind) (lora_runtime_store_bytes{{{_OPERATOR}}})", "{{pod}} {{kind}}"),
                Query(f"max by (pod) (lora_runtime_store_needed_bytes{{{_OPERATOR}}})", "{{pod}} that must stay"),
                Query(f"max by (pod) (lora_runtime_store_possible_bytes{{{_OPERATOR}}})", "{{pod}} room"),
            ),
            "bytes",
            about="What was fetched once stays while there is room. Trouble begins when what must stay comes near the room.",
        ),
        Panel(
            "Engine",
            (
                Query(f"sum by (pod) (vllm:num_requests_running{{{_VLLM}}})", "{{pod}} running"),
                Query(f"sum by (pod) (vllm:num_requests_waiting{{{_VLLM}}})", "{{pod}} waiting"),
            ),
            about="vLLM's own count of requests.",
        ),
        Panel(
            "KV cache in use",
            (Query(f"max by (pod) (vllm:kv_cache_usage_perc{{{_VLLM}}})", "{{pod}}"),),
            "percentunit",
        ),
        Panel(
            "Largest adapters on disk",
            (Query(f"topk(10, max by (adapter) (lora_runtime_adapter_disk_bytes{{{_ADAPTER}}}))", "{{adapter}}"),),
            "bytes",
        ),
        Panel(
            "Largest adapters in host memory",
            (Query(f"topk(10, max by (adapter) (lora_runtime_adapter_host_bytes{{{_ADAPTER}}}))", "{{adapter}}"),),
            "bytes",
        ),
    ),
)

_WORK = Row(
    "Operator",
    (
        Panel(
            "Passes",
            (Query(_rate("lora_operator_pass_seconds_count", "outcome", ""), "{{outcome}}"),),
            "ops",
            width=6,
            stacked=True,
        ),
        Panel(
            "Time of a pass's stages, 99 of 100",
            (Query(_quantile(0.99, "lora_operator_stage_seconds", "stage", ""), "{{stage}}"),),
            "s",
            width=6,
        ),
        Panel("Longest wait for a pass", (Query("max(lora_operator_oldest_wait_seconds)", "seconds"),), "s", width=6),
        Panel("Models that wait", (Query("sum(lora_operator_waiting_models)", "models"),), width=6),
        Panel(
            "Actions",
            (Query(_rate("lora_operator_actions_total", "action, outcome", ""), "{{action}} {{outcome}}"),),
            "ops",
            width=6,
        ),
        Panel(
            "Writes to the API server",
            (Query(_rate("lora_operator_api_requests_total", "kind, code", 'method!="GET"'), "{{kind}} {{code}}"),),
            "ops",
            width=6,
        ),
        Panel(
            "Requests of the operator to pods",
            (Query(_rate("lora_runtime_admin_requests_total", "path, code", _OPERATOR), "{{path}} {{code}}"),),
            "reqps",
            width=6,
        ),
        Panel(
            "Memory",
            (Query("process_resident_memory_bytes and on (namespace, pod) lora_operator_leader", "{{pod}}"),),
            "bytes",
            width=6,
            about="Of each operator pod; the chart's limit is resources.limits.memory.",
        ),
    ),
)

ROWS = (_NOW, _TRAFFIC, _CHANGES, _ROOM, _WORK)
