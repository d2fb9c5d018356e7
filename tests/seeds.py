"""Rows that tests start from."""

from datetime import datetime
from pathlib import Path

from sqlalchemy import insert, update

from bot.clock import now
from bot.config import Settings
from storage import deliveries
from storage.db import Database
from storage.models import Campaign, CampaignState, Message, Recipient, Server

KEY = "00112233445566778899aabbccddeeff"


def settings_for(db_url: str, folder: Path, **changes: object) -> Settings:
    """Settings that read nothing from outside; sections are given as dictionaries."""
    values: dict[str, object] = {"database_url": db_url, "data_dir": folder, "secret_key": "test-key", **changes}
    return Settings.model_validate(values)


async def add_server(db: Database, name: str, port: int, *, host: str = "127.0.0.1", **columns: object) -> int:
    async with db.transaction() as tx:
        server = Server(name=name, host=host, port=port, created_at=now(), **columns)
        tx.add(server)
        await tx.flush()
        return server.id


async def add_campaign(
    db: Database,
    server_id: int,
    recipients: int,
    *,
    name: str = "spring-sale",
    state: CampaignState = CampaignState.SENDING,
    expires_at: datetime | None = None,
    text: str = "Hello {{ name }},\n\nthe sale has begun.\n",
    html: str | None = None,
) -> int:
    """A campaign with `recipients` queued deliveries to p1@example.com, p2@example.com, ..."""
    async with db.transaction() as tx:
        campaign = Campaign(
            name=name,
            state=state,
            wish=state,
            state_since=now(),
            server_id=server_id,
            subject="Spring sale",
            recipients=recipients,
            created_by="tests",
            created_at=now(),
            expires_at=expires_at,
        )
        tx.add(campaign)
        await tx.flush()
        tx.add(
            Message(
                campaign_id=campaign.id,
                key=KEY,
                sender="Shop <shop@example.com>",
                subject="Hello {{ name }}",
                text=text,
                html=html,
            )
        )
        rows = [
            {
                "campaign_id": campaign.id,
                "n": n,
                "email": f"p{n}@example.com",
                "email_key": f"p{n}@example.com",
                "fields": {"name": f"Person {n}"},
            }
            for n in range(1, recipients + 1)
        ]
        await tx.flush()
        await tx.execute(insert(Recipient), rows)
        await deliveries.create(tx, campaign.id)
        return campaign.id


async def wish(db: Database, campaign_id: int, state: CampaignState, wished: CampaignState) -> None:
    """What bot/services/campaigns.py writes when somebody pauses, resumes or cancels."""
    async with db.transaction() as tx:
        await tx.execute(
            update(Campaign)
            .where(Campaign.id == campaign_id)
            .values(state=state, wish=wished, state_since=now(), wished_at=now())
        )


async def state_of(db: Database, campaign_id: int) -> str:
    async with db.read() as tx:
        campaign = await tx.get_one(Campaign, campaign_id)
        return campaign.state
