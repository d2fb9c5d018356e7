"""`POST /events/delivery` as another system meets it: signed, recent, bounded, and counted once."""

import json
import time
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp import ClientSession
from pydantic import SecretStr

from bot.channels.webhook import sign
from bot.mail.links import Links
from bot.mail.reports.report import token_for
from bot.web.delivery_events import delivery_hook
from bot.web.server import Server
from storage.db import Database
from tests.integration.reconciling_support import reconciling, status, suppressed
from tests.resend_world import World, world
from tests.seeds import KEY

SECRET = "a secret for a second"
FIVE_MINUTES = 300


class Site:
    """The address, and how a system that knows the secret posts to it."""

    def __init__(self, url: str, session: ClientSession) -> None:
        self.url = url
        self._session = session

    async def post(
        self, body: object, *, secret: str = SECRET, age: float = 0, signed: bytes | None = None
    ) -> tuple[int, dict[str, object]]:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        timestamp = str(int(time.time() - age))
        headers = {
            "X-Holdfast-Timestamp": timestamp,
            "X-Holdfast-Signature": sign(secret, timestamp, octets if signed is None else signed),
        }
        async with self._session.post(f"{self.url}/events/delivery", data=BytesIO(octets), headers=headers) as answer:
            told = await answer.json() if answer.content_type == "application/json" else {}
            return answer.status, told


@pytest.fixture
async def lost(db: Database, tmp_path: Path) -> World:
    made = await world(db, tmp_path, 5)
    await made.mark([1, 2], "unknown", "decide")
    return made


@pytest.fixture
async def site(db: Database, tmp_path: Path) -> AsyncIterator[Site]:
    hooks = delivery_hook(reconciling(db, tmp_path), SecretStr(SECRET))
    server = Server(db, Links(["x"]), host="127.0.0.1", port=0, hooks=hooks)
    async with ClientSession() as session:
        yield Site(f"http://127.0.0.1:{await server.start()}", session)
    await server.stop()


def event(n: int, what: str, text: str = "", **changes: object) -> dict[str, object]:
    address = f"p{n}@example.com"
    message_id = f"<{token_for(KEY, address)}@example.com>"
    return {"message_id": message_id, "recipient": address, "event": what, "text": text} | changes


async def test_events_settle_what_was_unknown_and_correct_what_was_delivered(lost: World, site: Site) -> None:
    batch = [
        event(1, "delivered", "250 2.0.0 Ok", at="2026-01-01T09:00:00Z", campaign="spring-sale"),
        event(2, "deferred", "451 4.7.1 Greylisted"),
        event(3, "bounced", "550 5.1.1 User unknown", anything_else={"is": "left alone"}),
        event(4, "complaint"),
        event(5, "delivered", message_id="<20260101.7@mx.example.com>"),
    ]
    told = {"ok": True, "changed": 3, "kept": 1, "waiting": 0, "known_already": 0, "not_ours": 1, "suppressed": 2}
    assert await site.post(batch) == (200, told)
    assert [(await status(lost, n))[0] for n in (1, 2, 3)] == ["delivered", "delivered", "failed_permanent"]
    assert [await suppressed(lost, n) for n in (3, 4, 5)] == ["bounce", "complaint", None]

    again = dict.fromkeys(told, 0) | {"ok": True, "known_already": 4, "not_ours": 1}
    assert await site.post(batch) == (200, again)


async def test_a_bare_refusal_in_an_event_is_no_proof_that_an_address_does_not_exist(lost: World, site: Site) -> None:
    assert (await site.post(event(3, "bounced", "550 no")))[1]["suppressed"] == 0
    assert await status(lost, 3) == ("failed_permanent", "after_fix")


async def test_what_is_not_signed_now_by_who_knows_the_secret_is_refused(lost: World, site: Site) -> None:
    for how, words in (
        ({"secret": "another"}, "X-Holdfast-Signature does not fit"),
        ({"signed": b"something else"}, "X-Holdfast-Signature does not fit"),
        ({"age": FIVE_MINUTES + 5}, "more than 5 minutes away"),
        ({"age": -FIVE_MINUTES - 5}, "more than 5 minutes away"),
    ):
        code, told = await site.post(event(1, "delivered"), **how)
        assert code == 401, how
        assert words in str(told["error"])
    assert (await status(lost, 1))[0] == "unknown"


async def test_what_is_no_event_is_refused_whole_and_says_where(lost: World, site: Site) -> None:
    for body, code, words in (
        (b"no json", 400, "is no JSON"),
        (b"[" * 100_000, 400, "is no JSON"),
        ([event(1, "delivered"), {"event": "delivered"}], 400, "Event 2, message_id: Field required"),
        (event(1, "opened"), 400, "Event 1, event: Input should be"),
        (event(1, "delivered", at="2026-01-01T09:00:00"), 400, "Event 1, at: Input should have timezone info"),
        ([event(1, "delivered")] * 1_001, 400, "There are 1,001 events; 1,000 in one call are possible"),
        (event(1, "delivered", "x" * 1_001), 400, "Event 1, text: String should have at most 1000 characters"),
        (b'"' + b"x" * 1_100_000 + b'"', 413, ""),
    ):
        answered, told = await site.post(body)
        assert answered == code, words
        assert words in str(told.get("error", ""))
    assert (await status(lost, 1))[0] == "unknown"


def test_without_a_secret_the_address_is_not_there(tmp_path: Path) -> None:
    service = reconciling(Database(f"sqlite:///{tmp_path}/x.db"), tmp_path)
    assert delivery_hook(service, None) == delivery_hook(service, SecretStr("")) == {}
