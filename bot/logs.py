"""Logs in one shape, without secrets: ours through structlog, the libraries' through the same processors."""

import logging
import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO

import structlog
from pydantic import SecretStr

from bot.config import Settings

# Slack's tokens by their shape, in case one comes from elsewhere than the settings:
# https://docs.slack.dev/authentication/tokens/
_TOKEN = re.compile(r"xox[a-z](?:\.xox[a-z])?-[\w-]+|xapp-[\w-]+|hooks\.slack\.com/\S+")
_HIDDEN = "(hidden)"


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Log to `stream` (standard error) from the level of the settings on."""
    target = stream or sys.stderr
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _Hider(_secrets(settings)),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    look = structlog.dev.ConsoleRenderer(colors=target.isatty())
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, look]
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # The SDK writes each retry of a connection at this level, with whole tracebacks; ours says it in a line.
    logging.getLogger("slack_bolt").setLevel(logging.ERROR)
    logging.getLogger("slack_sdk").setLevel(logging.ERROR)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # What pages people goes by URLs that are secrets: these two write them down, whole or in parts.
    logging.getLogger("apprise").propagate = False
    logging.getLogger("apprise").setLevel(logging.WARNING)  # bot/channels/paging.py reads there why a page failed
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)


class _Hider:
    """Takes secrets out of every string of an event."""

    def __init__(self, secrets: Iterable[str]) -> None:
        longest_first = sorted(filter(None, secrets), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, _: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        return {key: self._clean(value) for key, value in event.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            hidden = _TOKEN.sub(_HIDDEN, value)
            return self._known.sub(_HIDDEN, hidden) if self._known else hidden
        if isinstance(value, dict):
            return {key: self._clean(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(each) for each in value]
        return value


def _secrets(settings: Settings) -> list[str]:
    """Every SecretStr of the settings, however deep."""
    found: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, SecretStr):
            found.append(value.get_secret_value())
        elif isinstance(value, dict):
            for each in value.values():
                walk(each)
        elif isinstance(value, list | tuple):
            for each in value:
                walk(each)
        elif hasattr(value, "__pydantic_fields__"):
            walk(vars(value))

    walk(settings)
    return found
