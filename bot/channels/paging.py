"""Roads to people that have nothing to do with Slack, by Apprise: SMS, Telegram, ntfy, a webhook, and 100 more.

A road is a URL that holds its secrets (https://github.com/caronc/apprise/wiki), so it is never shown: people see the
name of the service. Apprise blocks, so it works in threads; it is loaded there too, as its plugins take a while.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

PATIENCE = 60.0
"""Seconds for one road. The thread may outlast it; its answer is not waited for."""
_STATUS = re.compile(r"\berror\s*[=:]\s*(\d{3})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Road:
    """A way to people. `name` is unique among the roads of the settings, and no secret."""

    name: str
    url: SecretStr
    valid: bool


async def roads(urls: Sequence[SecretStr]) -> list[Road]:
    """The roads in order; one whose URL Apprise does not understand is not `valid`."""
    return await asyncio.to_thread(_roads, urls)


async def send(road: Road, title: str, text: str) -> str | None:
    """Send by one road. None when it was taken, else why not in a phrase without secrets. Never raises."""
    if not road.valid:
        return "its URL is not one that Apprise understands"
    try:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.to_thread(_send, road, title, text)
    except TimeoutError:
        return "it did not answer in time"
    except Exception as error:  # noqa: BLE001  a plugin of a library of hundreds: one must not stop the others
        return f"it failed ({type(error).__name__})"


def _roads(urls: Sequence[SecretStr]) -> list[Road]:
    from apprise import Apprise  # noqa: PLC0415  loads its plugins, which only pages need

    found: list[Road] = []
    for number, url in enumerate(urls, 1):
        plugin = Apprise.instantiate(url.get_secret_value())
        name = str(plugin.service_name) if plugin else f"road {number}"
        if any(road.name == name for road in found):
            name = f"{name} ({number})"
        found.append(Road(name, url, valid=plugin is not None))
    return found


def _send(road: Road, title: str, text: str) -> str | None:
    from apprise import Apprise, NotifyFormat  # noqa: PLC0415  as in `_roads`

    service = Apprise()
    if not service.add(road.url.get_secret_value()):
        return "its URL is not one that Apprise understands"
    result = service.notify(body=text, title=title, body_format=NotifyFormat.TEXT)
    return None if result else _why(result)


def _why(result: Any) -> str:
    """From Apprise's own log of the call, which may name the URL: only the status is taken out of it."""
    said = " ".join(str(entry) for each in result.results for attempt in each.attempts for entry in attempt.logs)
    if status := _STATUS.search(said):
        return f"it answered with the status {status[1]}"
    if "connection error" in said.casefold():
        return "it cannot be reached"
    return "it did not take the message"
