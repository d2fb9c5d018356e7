"""A small world for stories about resends: a campaign that lost mail, people who ask and people who approve."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, update

from bot.access import Access, Actor
from bot.clock import now
from bot.services.approvals import Approvals
from bot.services.resends import Resends
from storage import resends
from storage.db import Database, Tx
from storage.models import (
    Approval,
    Campaign,
    Delivery,
    Outage,
    OutageCampaign,
    OutageServer,
    Post,
    Resend,
    ResendItem,
    Server,
    Suppression,
    Timeline,
)
from tests.seeds import add_campaign, add_server, settings_for

MARIA = Actor(id="U0MARIA", name="maria")
"""She asks; she could approve too, but not what she asked for."""
JOAN = Actor(id="U0JOAN", name="joan")
KIM = Actor(id="U0KIM", name="kim")
"""Two approvers."""
BEN = Actor(id="U0BEN", name="ben")
"""A responder who approves nothing."""

ROLES = {"approver": [MARIA.id, JOAN.id, KIM.id], "sender": [MARIA.id, JOAN.id]}


def services(db: Database, folder: Path, **sections: object) -> Resends:
    settings = settings_for(str(db.url), folder, **{"roles": ROLES, **sections})
    access = Access(settings.roles, settings.admins)
    return Resends(db, settings, access, Approvals(settings, access))


class World:
    """One server, one campaign of `recipients`, all delivered until told otherwise."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db = db
        self.folder = folder
        self.resends = services(db, folder)
        self.server = 0
        self.campaign = 0

    async def build(self, recipients: int, *, port: int = 25, expires_at: datetime | None = None) -> None:
        self.server = await add_server(self.db, "primary", port)
        self.campaign = await self.add_campaign("spring-sale", recipients, expires_at=expires_at)

    async def add_campaign(self, name: str, recipients: int, *, expires_at: datetime | None = None) -> int:
        campaign = await add_campaign(self.db, self.server, recipients, name=name, expires_at=expires_at)
        async with self.db.transaction() as tx:
            await tx.execute(update(Campaign).where(Campaign.id == campaign).values(state="finished", wish="finished"))
        await self.mark(range(1, recipients + 1), "delivered", campaign=campaign)
        return campaign

    async def mark(
        self,
        numbers: Iterable[int],
        status: str,
        retry: str | None = None,
        *,
        campaign: int | None = None,
        outage: int | None = None,
    ) -> None:
        """What the sender would have written of these deliveries."""
        async with self.db.transaction() as tx:
            await tx.execute(
                update(Delivery)
                .where(Delivery.campaign_id == (campaign or self.campaign), Delivery.n.in_(list(numbers)))
                .values(
                    status=status,
                    retry=retry,
                    outage_id=outage,
                    attempts=0 if status == "queued" else 1,
                    server_id=self.server,
                    changed_at=now(),
                    stage="rcpt" if retry else None,
                    code=451 if retry == "safe" else None,
                )
            )

    async def lose(self, numbers: Iterable[int], *, campaign: int | None = None, outage: int | None = None) -> None:
        """They failed for a while, so they can go again."""
        await self.mark(numbers, "failed_temporary", "safe", campaign=campaign, outage=outage)

    async def open_outage(self, campaigns: Iterable[int] | None = None, *, resolved: bool = False) -> int:
        async with self.db.transaction() as tx:
            outage = Outage(
                title="primary is down",
                state="resolved" if resolved else "open",
                opened_by="Holdfast",
                started_at=now(),
                detected_at=now(),
            )
            tx.add(outage)
            await tx.flush()
            tx.add(OutageServer(outage_id=outage.id, server_id=self.server))
            tx.add_all([OutageCampaign(outage_id=outage.id, campaign_id=c) for c in campaigns or [self.campaign]])
            return outage.id

    async def suppress(self, *addresses: str) -> None:
        async with self.db.transaction() as tx:
            tx.add_all([Suppression(email_key=each, reason="asked", source="person", at=now()) for each in addresses])

    async def change_server(self, **values: object) -> None:
        async with self.db.transaction() as tx:
            await tx.execute(update(Server).where(Server.id == self.server).values(**values))

    async def settle(self, resend: int, status: str = "delivered", retry: str | None = None) -> None:
        """The sender has sent all that was queued of the resend and says so."""
        async with self.db.transaction() as tx:
            await tx.execute(
                update(Delivery)
                .where(Delivery.resend_id == resend, Delivery.status == "queued")
                .values(status=status, retry=retry, attempts=Delivery.attempts + 1)
            )

    async def become(self, resend: int, state: str, note: str | None = None) -> None:
        """What the sender writes when a resend has stopped or ended."""
        async with self.db.transaction() as tx:
            await tx.execute(update(Resend).where(Resend.id == resend).values(state=state, wish=state, note=note))

    async def wish(self, tx: Tx, resend: int, state: str, wish: str) -> None:
        """What `Resends.pause` and `Resends.resume` write."""
        stop = now() if state == "pausing" else None
        await tx.execute(update(Resend).where(Resend.id == resend).values(state=state, wish=wish, wished_at=stop))

    async def ledger(self, campaign: int | None = None) -> Counter[str]:
        async with self.db.read() as tx:
            rows = await tx.scalars(select(Delivery.status).where(Delivery.campaign_id == (campaign or self.campaign)))
            return Counter(rows.all())

    async def items(self, resend: int) -> dict[int, int]:
        """Number -> wave."""
        async with self.db.read() as tx:
            rows = await tx.execute(
                select(ResendItem.n, ResendItem.wave).where(ResendItem.resend_id == resend).order_by(ResendItem.n)
            )
            return dict(rows.all())

    async def queued(self, resend: int) -> list[int]:
        async with self.db.read() as tx:
            query = select(Delivery.n).where(Delivery.resend_id == resend, Delivery.status == "queued")
            return list(await tx.scalars(query.order_by(Delivery.n)))

    async def delivery(self, number: int) -> Delivery:
        async with self.db.read() as tx:
            return await tx.get_one(Delivery, (self.campaign, number))

    async def resend(self, resend: int) -> Resend:
        async with self.db.read() as tx:
            found = await resends.get(tx, resend)
            assert found is not None
            return found

    async def approval(self, resend: int) -> Approval:
        async with self.db.read() as tx:
            query = select(Approval).where(Approval.subject == "resend", Approval.subject_id == resend)
            return (await tx.scalars(query.order_by(Approval.id.desc()))).first() or Approval()

    async def said(self) -> list[tuple[str, str]]:
        async with self.db.read() as tx:
            rows = await tx.execute(select(Timeline.kind, Timeline.text).order_by(Timeline.id))
            return [(kind, text) for kind, text in rows]

    async def posts(self) -> dict[str, str | None]:
        """Key -> the key of the message in whose thread it belongs."""
        async with self.db.read() as tx:
            rows = await tx.execute(select(Post.key, Post.parent_key).order_by(Post.id))
            return dict(rows.all())

    async def until_state(self, resend: int, state: str, within: float = 20) -> Resend:
        async with asyncio.timeout(within):
            while True:
                found = await self.resend(resend)
                if found.state == state:
                    return found
                await asyncio.sleep(0.02)


async def world(db: Database, folder: Path, recipients: int, *, port: int = 25) -> World:
    made = World(db, folder)
    await made.build(recipients, port=port)
    return made
