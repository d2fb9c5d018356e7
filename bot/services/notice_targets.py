"""Which notice a command means, and whether it may be drafted, asked for, decided or stopped: for deed and plan."""

from datetime import datetime
from typing import NamedTuple

from bot.clock import now
from bot.config import Settings
from bot.errors import WrongStateError
from bot.mail.composing import Source
from bot.services.approvals import Approvals
from bot.services.notice_rules import (
    Told,
    check_not_stopping,
    chosen,
    compose,
    find_told,
    mailing_of,
    need_server,
    said,
    sender_of,
    wrong_state,
)
from bot.services.words import moment
from storage.db import Tx
from storage.models import ApprovalState, Notice, NoticeState, Server

UNSENT = (NoticeState.DRAFT, NoticeState.WAITING)
LIVE = (*UNSENT, NoticeState.SENDING)


class Wanted(NamedTuple):
    """What would be said, to the recipients of which campaigns, and through what."""

    told: Told
    subject: str
    body: str
    source: Source
    warnings: tuple[str, ...]
    server: Server

    @property
    def campaign_ids(self) -> list[int]:
        return [campaign.id for campaign in self.told.campaigns]


async def to_draft(
    tx: Tx, settings: Settings, text: str, subject: str | None, outage_id: int | None, campaign_word: str | None
) -> Wanted:
    """Raises BotError where the text, the audience, the sender or a server is missing."""
    subject, body = said(text, subject)
    told = await find_told(tx, outage_id, campaign_word)
    sender = await sender_of(tx, settings, told.campaigns)
    server = await need_server(tx, now())
    return Wanted(told, subject, body, *compose(settings, subject, body, sender), server)


async def to_send(tx: Tx, approvals: Approvals, notice_id: int | None, at: datetime) -> Notice:
    """The notice whose approval may be asked for. Raises WrongStateError and NotFoundError."""
    notice = await chosen(tx, notice_id, UNSENT, "send")
    await check_askable(tx, approvals, notice, at)
    if (await mailing_of(tx, notice)).recipients:
        await need_server(tx, at)
    return notice


async def to_cancel(tx: Tx, notice_id: int | None) -> Notice:
    notice = await chosen(tx, notice_id, LIVE, "cancel")
    if notice.state == NoticeState.SENDING:
        check_not_stopping(notice, await mailing_of(tx, notice))
    return notice


def check_asked(notice: Notice) -> None:
    """Raises WrongStateError for what nobody asked to send (any more)."""
    if notice.state in {NoticeState.DRAFT, NoticeState.CANCELLED}:
        raise wrong_state(notice)


def has_changed(notice: Notice) -> str:
    return (
        f"Notice {notice.id} or its webhook has changed since it was asked for, so the approval is void "
        f"and nothing was sent. Ask again: /notice send {notice.id}"
    )


async def check_askable(tx: Tx, approvals: Approvals, notice: Notice, at: datetime) -> None:
    """Raises WrongStateError, with who asked and when, where an approval is waited for already."""
    if notice.state not in UNSENT:
        raise wrong_state(notice)
    asked = await approvals.latest(tx, "notice", notice.id)
    if asked is not None and asked.state == ApprovalState.PENDING and asked.expires_at > at:
        raise WrongStateError(
            f"{asked.requested_by} asked for it already at {moment(asked.requested_at, at)}. "
            f"Somebody else approves it until {moment(asked.expires_at, at)}."
        )


def reaches_nobody(suppressed: int) -> str:
    left_out = ""
    if suppressed:
        left_out = f", as {'the one address' if suppressed == 1 else f'all {suppressed:,} addresses'} may not be mailed"
    return f"The notice would reach nobody{left_out}, and no webhook is set. Nothing was drafted."
