"""`POST /events/delivery`: another system says what became of deliveries.

Signed as our own webhook signs (bot/channels/webhook.py): `X-Holdfast-Signature` is the hex HMAC-SHA256 of
"timestamp.body" under HOLDFAST_EVENTS_SECRET, `X-Holdfast-Timestamp` the time of the call in seconds. A call that is
older than five minutes is refused; one that is repeated within them finds its events known and changes nothing.
"""

import asyncio
import hmac
from typing import Final

from aiohttp import web
from pydantic import SecretStr

from bot.channels.webhook import sign
from bot.clock import now
from bot.errors import BadInputError
from bot.mail.reports.events import read_events
from bot.services.reconciling import Reconciling
from bot.services.reconciling_rules import Tally
from bot.web.server import EventHandler
from storage.errors import StorageError

PATH: Final = "/events/delivery"
_OLDEST: Final = 300
"""Seconds that a call may be away from our clock, as with Slack's own."""


def delivery_hook(reconciling: Reconciling, secret: SecretStr | None) -> dict[str, EventHandler]:
    """The address and what answers there; nothing without a secret."""
    if secret is None or not secret.get_secret_value():
        return {}

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()  # 413 where it is too large
        refused = _check(request, body, secret.get_secret_value())
        if refused is not None:
            return _no(refused, 401)
        try:
            found, strangers = await asyncio.to_thread(read_events, body)
            tally = await reconciling.take("event", found)
        except BadInputError as error:
            return _no(str(error), 400)
        except StorageError as error:
            return _no(f"{error} Post it again in a minute.", 503)
        tally.not_ours += strangers
        return web.json_response({"ok": True, **_told(tally)})

    return {PATH: handle}


def _check(request: web.Request, body: bytes, secret: str) -> str | None:
    """Why the call is refused; None when it is genuine and recent."""
    timestamp = request.headers.get("X-Holdfast-Timestamp", "")
    signature = request.headers.get("X-Holdfast-Signature", "")
    if not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > 12:
        return "X-Holdfast-Timestamp is missing, or is not the time in whole seconds since 1970."
    if abs(now().timestamp() - int(timestamp)) > _OLDEST:
        return "X-Holdfast-Timestamp is more than 5 minutes away from this clock. Sign the call anew."
    if not hmac.compare_digest(sign(secret, timestamp, body).encode(), signature.encode("utf-8", "replace")):
        return "X-Holdfast-Signature does not fit: it is the hex HMAC-SHA256 of “timestamp.body” under the secret."
    return None


def _told(tally: Tally) -> dict[str, int]:
    return {
        "changed": tally.number_settled + tally.came_back + tally.arrived,
        "kept": tally.kept,
        "waiting": tally.waiting,
        "known_already": tally.again,
        "not_ours": tally.not_ours,
        "suppressed": len(tally.suppressed),
    }


def _no(sentence: str, status: int) -> web.Response:
    return web.json_response({"ok": False, "error": sentence}, status=status)
