"""What a campaign says: one message a campaign."""

from sqlalchemy import LargeBinary, case, delete, func, select

from storage.campaigns import LIVE, MAILING
from storage.db import Tx
from storage.models import Campaign, Message

_HEAD = 65_536
"""Octets of an .eml in which its From is looked for."""


async def add(tx: Tx, message: Message) -> None:
    tx.add(message)
    await tx.flush()


async def of_campaign(tx: Tx, campaign_id: int) -> Message | None:
    return (await tx.scalars(select(Message).where(Message.campaign_id == campaign_id))).one_or_none()


async def senders_of_live(tx: Tx) -> list[tuple[str, str, bytes]]:
    """Of each campaign that is not over: its name, its sender, and where the .eml says that, the .eml's beginning."""
    head = case((Message.sender == "", func.substr(Message.eml, 1, _HEAD, type_=LargeBinary)))
    rows = await tx.execute(
        select(Campaign.name, Message.sender, head)
        .join(Message, Message.campaign_id == Campaign.id)
        .where(Campaign.kind == MAILING, Campaign.state.in_(LIVE))
        .order_by(Campaign.id)
    )
    return [(name, sender, eml or b"") for name, sender, eml in rows]


async def remove(tx: Tx, campaign_id: int) -> None:
    await tx.execute(delete(Message).where(Message.campaign_id == campaign_id))
