"""The description as Grafana's JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grafana_dashboard.panels import ROWS, Panel

TARGET = Path(__file__).resolve().parents[3] / "helm" / "lora-operator" / "files" / "monitoring" / "dashboard.json"
_COLUMNS = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

Json = dict[str, Any]


def rendered() -> str:
    """The text of the file."""
    dashboard = {
        "uid": "lora-operator",
        "title": "LoRA adapters",
        "description": "Models and adapters of lora-operator: what is served, how it feels to clients, and what changes.",
        "tags": ["lora-operator", "vllm"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": list(_variables())},
        "annotations": {"list": []},
        "panels": list(_placed()),
    }
    return json.dumps(dashboard, indent=1) + "\n"


def _variables() -> Iterator[Json]:
    yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    for name, of in (
        ("namespace", "lora_operator_model_info"),
        ("model", 'lora_operator_model_info{namespace=~"$namespace"}'),
        ("adapter", 'lora_runtime_requests_total{namespace=~"$namespace", model=~"$model"}'),
    ):
        yield {
            "name": name,
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": f"label_values({of}, {name})", "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
        }


def _placed() -> Iterator[Json]:
    """Each row's heading, then its panels from left to right."""
    y, number = 0, 0
    for row in ROWS:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
        }
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y, height = 0, y + height, 0
            number += 1
            yield _panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": panel.height})
            x, height = x + panel.width, max(height, panel.height)
        y += height


def _panel(panel: Panel, number: int, place: Json) -> Json:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "instant": panel.kind != "timeseries",
                "range": panel.kind == "timeseries",
                **({"format": "table"} if panel.kind == "table" else {}),
            }
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        **({"transformations": [_columns(panel)]} if panel.columns else {}),
    }


def _defaults(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "green" if panel.good_from is None else "red", "value": None}]
    if panel.good_from is not None:
        steps.append({"color": "green", "value": panel.good_from})
    if panel.bad_from is not None:
        steps.append({"color": "red", "value": panel.bad_from})
    defaults: Json = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        fill = {"fillOpacity": 20, "stacking": {"mode": "normal"}} if panel.stacked else {"fillOpacity": 0}
        # Nothing but zeros is a line at the bottom, not in the middle of a scale of its own.
        counts = {"axisSoftMax": 1} if panel.unit == "short" else {}
        defaults |= {"min": 0, "custom": {"lineWidth": 1, "showPoints": "never"} | fill | counts}
    return defaults


def _options(panel: Panel) -> Json:
    match panel.kind:
        case "stat":
            return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"}
        case "timeseries":
            return {
                "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        case _:
            return {"showHeader": True}


def _columns(panel: Panel) -> Json:
    names = {"Time": True, "Value": True}
    order = {name: index for index, name in enumerate(panel.columns)}
    return {"id": "organize", "options": {"excludeByName": names, "indexByName": order}}
