"""What a campaign says: one message a campaign."""

from sqlalchemy import delete, select

from storage.db import Tx
from storage.models import Message


async def add(tx: Tx, message: Message) -> None:
    tx.add(message)
    await tx.flush()


async def of_campaign(tx: Tx, campaign_id: int) -> Message | None:
    return (await tx.scalars(select(Message).where(Message.campaign_id == campaign_id))).one_or_none()


async def remove(tx: Tx, campaign_id: int) -> None:
    await tx.execute(delete(Message).where(Message.campaign_id == campaign_id))
