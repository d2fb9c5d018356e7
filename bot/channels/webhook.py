"""A notice to another system: one signed POST, and what its answer means.

The receiver checks `X-Holdfast-Signature`, the hex HMAC-SHA256 of "timestamp.body" under the shared secret, refuses
a timestamp that is far from its own clock, and drops an `X-Holdfast-Delivery` that it has seen: that id stays the
same when a call is tried again.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr

from bot.config import NoticeSettings
from bot.errors import SettingsError

LONGEST_ATTEMPT: Final = timedelta(seconds=15)
_TIMEOUT: Final = aiohttp.ClientTimeout(total=LONGEST_ATTEMPT.total_seconds(), connect=5)
_READ_AT_MOST: Final = 2_000
_SHOWN: Final = 200
_AGAIN: Final = frozenset({408, 425, 429})
_LONGEST_PAUSE: Final = timedelta(minutes=10)
_LONGEST_WISH: Final = timedelta(hours=1)
"""A receiver that asks for a longer wait is asked again after this."""


@dataclass(frozen=True)
class Answer:
    """What became of one call. `again` says whether it is worth another attempt, `wait` what the receiver asked for."""

    delivered: bool
    again: bool
    sentence: str
    wait: timedelta | None = None


@dataclass(frozen=True)
class Webhook:
    """Where notices are posted, and the secret that signs them."""

    url: str
    secret: SecretStr

    @classmethod
    def of(cls, settings: NoticeSettings) -> "Webhook | None":
        """The one of the settings; None without one. Raises SettingsError when it cannot be used."""
        if settings.webhook_url is None:
            return None
        if not _is_web_address(settings.webhook_url):
            raise SettingsError("HOLDFAST_NOTICES__WEBHOOK_URL is no web address: it must begin with https://.")
        if settings.webhook_secret is None:
            raise SettingsError(
                "HOLDFAST_NOTICES__WEBHOOK_SECRET is missing: calls of the webhook are signed with it. Set it, and "
                "give it to the receiver."
            )
        return cls(settings.webhook_url, settings.webhook_secret)

    @property
    def fingerprint(self) -> str:
        """Tells one address from another without showing it: some hold a token."""
        return hashlib.sha256(self.url.encode()).hexdigest()

    async def call(self, call_id: str, body: bytes, at: datetime) -> Answer:
        """Post `body`, which is JSON, once. Every failure is an Answer; redirects are not followed."""
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.post(
                    self.url, data=body, headers=self._headers(call_id, body, at), allow_redirects=False
                ) as response,
            ):
                # Once it is taken nothing that it says can change that.
                said = b"" if response.status < 300 else await response.content.read(_READ_AT_MOST)
                return judge(response.status, response.headers.get("Retry-After"), said, at)
        except TimeoutError:
            return Answer(delivered=False, again=True, sentence="it did not answer in time")
        except aiohttp.InvalidURL:
            return Answer(delivered=False, again=False, sentence="its address is no web address")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            return Answer(delivered=False, again=True, sentence=f"it cannot be reached ({_shown(reason)})")

    def _headers(self, call_id: str, body: bytes, at: datetime) -> dict[str, str]:
        timestamp = str(int(at.timestamp()))
        return {
            "Content-Type": "application/json",
            "User-Agent": "Holdfast",
            "X-Holdfast-Timestamp": timestamp,
            "X-Holdfast-Signature": sign(self.secret.get_secret_value(), timestamp, body),
            "X-Holdfast-Delivery": call_id,
        }


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature of a call: hex HMAC-SHA256 over "timestamp.body"."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def judge(status: int, retry_after: str | None, said: bytes, at: datetime) -> Answer:
    """What an answer means: 2xx took it; 408, 425, 429 and 5xx may take it later; all else never will."""
    if 200 <= status < 300:
        return Answer(delivered=True, again=False, sentence=f"it answered {status}")
    if 300 <= status < 400:
        return Answer(
            delivered=False,
            again=False,
            sentence=f"it answered {status}, and redirects are not followed: set its target",
        )
    words = _shown(said.decode(errors="replace"))
    sentence = f"it answered {status}" + (f": {words}" if words else "")
    again = status in _AGAIN or status >= 500
    return Answer(delivered=False, again=again, sentence=sentence, wait=_asked(retry_after, at) if again else None)


def pause(attempts: int, jitter: float) -> timedelta:
    """How long to wait after so many attempts: 1 s, 2 s, 4 s, ... ten minutes; `jitter`, 0 to 1, adds up to a half."""
    return min(timedelta(seconds=2 ** min(attempts - 1, 20)), _LONGEST_PAUSE) * (1 + jitter / 2)


def _asked(header: str | None, at: datetime) -> timedelta | None:
    """Retry-After, as seconds or as a date (RFC 9110, 10.2.3); None when it cannot be read."""
    if not header:
        return None
    if header.strip().isdecimal():
        wait = timedelta(seconds=int(header.strip()[:9]))
    else:
        try:
            until = parsedate_to_datetime(header)
        except ValueError:
            return None
        wait = (until if until.tzinfo else until.replace(tzinfo=UTC)) - at
    return max(timedelta(0), min(wait, _LONGEST_WISH))


def _shown(text: str) -> str:
    """What the other side said, on one line and not too long."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return clean if len(clean) <= _SHOWN else clean[: _SHOWN - 1] + "…"
