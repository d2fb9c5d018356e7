"""A receiving provider that slows us down is written to more slowly, and the others do not wait for it."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.demo.relays import Relay, reply
from storage.db import Database
from storage.models import CampaignState, Recipient
from tests.integration.test_sender import counts, each_once, running, until_state
from tests.seeds import add_campaign, add_server, wish


async def move(db: Database, campaign_id: int, numbers: Iterable[int]) -> frozenset[str]:
    """These recipients get addresses at slow.example, which are returned."""
    moved = {n: f"p{n}@slow.example" for n in numbers}
    async with db.transaction() as tx:
        for n, address in moved.items():
            row = update(Recipient).where(Recipient.campaign_id == campaign_id, Recipient.n == n)
            await tx.execute(row.values(email=address, email_key=address))
    return frozenset(moved.values())


def taken(relay: Relay, domain: str) -> list[float]:
    """When the relay took each message to the domain."""
    return [message.at.timestamp() for message in relay.messages if message.recipients[0].endswith(domain)]


async def test_one_that_puts_us_off_does_not_hold_up_the_others(
    db: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.mail.pacing.FIRST_REST", 2.0)
    async with Relay() as relay:
        server = await add_server(db, "primary", relay.port, max_connections=5)
        campaign = await add_campaign(db, server, 2_400, state=CampaignState.SCHEDULED)
        slow = await move(db, campaign, range(2, 2_401, 2))
        await relay.behave(reply("rcpt", 450, "4.7.28 too many messages", recipients=slow, after=200, times=2))
        async with running(db, database_url, tmp_path):
            await wish(db, campaign, CampaignState.SENDING, CampaignState.SENDING)
            await until_state(db, campaign, CampaignState.FINISHED, 60)

        each_once(relay, 2_400)
        assert await counts(db, campaign) == {"delivered": 2_400}
        others, slow_ones = taken(relay, "@example.com"), taken(relay, "@slow.example")
        assert sum(at > max(others) for at in slow_ones) > 700


async def test_one_has_limits_of_its_own(db: Database, database_url: str, tmp_path: Path) -> None:
    limits = {"slow": {"domains": ["slow.example"], "rate_per_second": 20}}
    async with Relay() as relay:
        campaign = await add_campaign(
            db, await add_server(db, "primary", relay.port), 120, state=CampaignState.SCHEDULED
        )
        await move(db, campaign, range(1, 41))
        async with running(db, database_url, tmp_path, sections={"providers": limits}):
            await wish(db, campaign, CampaignState.SENDING, CampaignState.SENDING)
            await until_state(db, campaign, CampaignState.FINISHED)

        slow = taken(relay, "@slow.example")
        assert len(slow) == 40
        assert max(slow) - min(slow) > 1.8
        assert max(taken(relay, "@example.com")) < slow[20]
