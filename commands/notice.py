"""`/notice` and the buttons of its card: draft what customers are told, have it approved, send it."""

import re

from bot.services.bundle import Services
from bot.services.plans import Plan
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.views import notice_replies as views
from bot.slack.views.notice_replies import changed
from commands.words import Command, Verb, Words, always, decided, pressed

_THE_NOTICE = "the notice"
_TARGET = re.compile(r"to\s+(#\d{1,9}|[^\s:#“\"]+)\s*:\s*(.*)", re.IGNORECASE | re.DOTALL)


async def _draft(services: Services, call: Call, words: Words) -> View:
    text, outage_id, campaign = _text_and_whom(words)
    notice = await services.notices.draft(call.actor, text, outage_id=outage_id, campaign_word=campaign)
    return views.preview(await services.notices.status(notice.id))


async def _preview(services: Services, _: Call, words: Words) -> View:
    return views.preview(await services.notices.status(_maybe_number(words)))


async def _send(services: Services, call: Call, words: Words) -> View:
    return views.requested(await services.notices.request(call.actor, _maybe_number(words)))


async def _approve(services: Services, call: Call, words: Words) -> View:
    notice = await services.notices.approve(call.actor, _number(words))
    return changed(notice, "is approved and goes out.", f"Stop it for good with /notice cancel {notice.id}")


async def _reject(services: Services, call: Call, words: Words) -> View:
    notice = await services.notices.reject(call.actor, _number(words))
    return changed(notice, "is rejected: nothing is sent.", "To ask with another text: /notice draft TEXT")


async def _cancel(services: Services, call: Call, words: Words) -> View:
    return views.cancelled(await services.notices.cancel(call.actor, _maybe_number(words)))


async def _list(services: Services, _: Call, words: Words) -> View:
    page = words.page()
    words.end()
    return views.listing(await services.notices.list(), page)


def _text_and_whom(words: Words) -> tuple[str, int | None, str | None]:
    """The text, and the outage or the campaign whose recipients are told."""
    match = _TARGET.fullmatch(words.left)
    whom = match[1] if match else ""
    if match:
        words.left = match[2]
    text = words.text("what the customers should know")
    outage_id = int(whom[1:]) if whom.startswith("#") else None
    campaign = whom if whom and outage_id is None else None
    return text, outage_id, campaign


# What each would do.


async def _plan_draft(services: Services, call: Call, words: Words) -> Plan:
    text, outage_id, campaign = _text_and_whom(words)
    return await services.plans.notices.draft(call.actor, text, outage_id=outage_id, campaign_word=campaign)


async def _plan_send(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.notices.request(call.actor, _maybe_number(words))


async def _plan_approve(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.notices.approve(call.actor, _number(words))


async def _plan_reject(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.notices.reject(call.actor, _number(words))


async def _plan_cancel(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.notices.cancel(call.actor, _maybe_number(words))


def _number(words: Words) -> int:
    number = words.number(_THE_NOTICE)
    words.end()
    return number


def _maybe_number(words: Words) -> int | None:
    number = words.maybe_number(_THE_NOTICE)
    words.end()
    return number


# The buttons. The card is edited, and its thread says who did what; a draft has none, so the answer does.


async def _sent(services: Services, click: Click) -> View:
    return views.requested(await services.notices.request(click.actor, pressed(click.value)))


async def _approved(services: Services, click: Click) -> None:
    await services.notices.approve(click.actor, *decided(click.value))


async def _rejected(services: Services, click: Click) -> None:
    await services.notices.reject(click.actor, *decided(click.value))


async def _cancelled(services: Services, click: Click) -> View:
    return views.cancelled(await services.notices.cancel(click.actor, pressed(click.value)))


COMMAND = Command(
    name="/notice",
    about="Notices: tell the customers of an outage, after a second person's approval of the exact text.",
    example="/notice draft to spring-sale: Your order mail is late. It will come today.",
    verbs=(
        Verb(
            "draft",
            "[to CAMPAIGN|#OUTAGE:] TEXT",
            "freeze a text and who gets it; nothing is sent",
            _draft,
            _plan_draft,
        ),
        Verb("preview", "[ID]", "exactly what goes out, to how many, through what", _preview, looks=True),
        Verb("send", "[ID]", "ask a second person to approve it", _send, _plan_send),
        Verb("approve", "ID", "let it go (not for who asked)", _approve, _plan_approve),
        Verb("reject", "ID", "say no: nothing is sent", _reject, _plan_reject),
        Verb("cancel", "[ID]", "drop it, or stop it for good", _cancel, _plan_cancel, asks=always),
        Verb("list", "[PAGE]", "the newest notices", _list, looks=True),
    ),
)

ACTIONS: dict[str, ClickHandler] = {
    "notice.send": _sent,
    "notice.approve": _approved,
    "notice.reject": _rejected,
    "notice.cancel": _cancelled,
}
