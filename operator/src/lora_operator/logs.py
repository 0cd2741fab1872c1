"""How the operator writes its log: one line per thing that happened, as text or as JSON."""

import datetime
import json
import logging
import sys

from lora_operator.config import LogFormat


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; a traceback is one field."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(level: str, log_format: LogFormat) -> None:
    """Sends all logs to standard error. Libraries are quiet unless something is wrong with them."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format is LogFormat.JSON:
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("lora_operator").setLevel(level)
    logging.getLogger("kopf").setLevel(logging.DEBUG if level == "DEBUG" else logging.WARNING)
