"""The shortcuts on a message: add it to a timeline, or make an action item of it."""

from dataclasses import replace
from typing import Any

from bot.errors import BotError, NotFoundError
from bot.services.bundle import Services
from bot.services.messages import SHORTCUT as BY_SHORTCUT
from bot.services.messages import Said
from bot.services.outage_shapes import OutageRow
from bot.slack.blocks import View, clip
from bot.slack.forms import Ask, Filled, Form, Sheet
from bot.slack.messages import moment_of
from bot.slack.views import forms as views
from bot.slack.views.replies import said
from commands.words import tidy
from storage.models import OutageState

ADD = "add_to_timeline"
ACTION = "make_action"
_TYPED_ADD = "/outage update #ID TEXT"
_TYPED_ACTION = "/outage action #ID TEXT"
_NONE_YET = "There has been no outage to add it to. Declare one with: /outage declare SERVER TEXT"
_KEPT = 1000  # characters of the message; what a form remembers is limited to 3,000


# Add to timeline


async def open_add(services: Services, ask: Ask) -> Sheet | None:
    """Only where it is not clear to which outage the message belongs."""
    message = _message(ask)
    await services.messages.check(message)
    if await _clear_outage(services, message) is not None:
        return None
    rows = await _offered(services)
    return Sheet(views.message(rows, message.text, message.author), _TYPED_ADD, _about(message))


async def add(services: Services, ask: Ask) -> View | None:
    """Where it is clear."""
    message = _message(ask)
    outage_id = await _clear_outage(services, message)
    if outage_id is None:
        raise BotError("It is no longer clear to which outage that message belongs. Use the shortcut again.")
    return await _added(services, ask.actor, replace(message, permalink=await ask.link()), outage_id)


async def _check_add(_: Services, filled: Filled) -> dict[str, str]:
    return {} if filled.text("outage") else {"outage": "Choose an outage."}


async def _submit_add(services: Services, filled: Filled) -> View:
    message = await _said_again(filled)
    return await _added(services, filled.actor, message, _number(filled.text("outage")))


async def _added(services: Services, actor: Any, message: Said, outage_id: int) -> View:
    marked = await services.messages.add(actor, message, BY_SHORTCUT, outage_id=outage_id)
    return said(marked.text if marked else "Somebody has just taken that message out. Nothing was changed.")


async def _clear_outage(services: Services, message: Said) -> int | None:
    """The outage of its thread, or the only one that is unresolved."""
    of_thread = await services.messages.outage_of(message)
    if of_thread is not None:
        return of_thread
    unresolved = [row.outage.id for row in await _offered(services) if row.outage.state != OutageState.RESOLVED]
    return unresolved[0] if len(unresolved) == 1 else None


# Make an action item


async def open_action(services: Services, ask: Ask) -> Sheet | None:
    """Always for a message; for `/outage action` when nothing was typed after it."""
    if ask.message is None and ask.words:
        return None
    message = _message(ask) if ask.message else None
    rows = await _offered(services)
    chosen = await _clear_outage(services, message) if message else None
    first = f"#{chosen or rows[0].outage.id}"
    sheet = views.action(rows, message.text if message else "", outage=first)
    return Sheet(sheet, _TYPED_ACTION, _about(message) if message else {})


async def _check_action(_: Services, filled: Filled) -> dict[str, str]:
    filled.text("owner")
    if not filled.text("outage"):
        return {"outage": "Choose an outage."}
    return {} if filled.text("text") else {"text": "Say what is to be done."}


async def _submit_action(services: Services, filled: Filled) -> View:
    owner = filled.text("owner")
    link = (await _said_again(filled)).permalink if filled.about else None
    result = await services.action_items.add(
        filled.actor, _number(filled.text("outage")), filled.text("text"), f"<@{owner}>" if owner else None, link
    )
    return said(result.text)


# What they share


async def _offered(services: Services) -> list[OutageRow]:
    """The unresolved outages first. Raises NotFoundError when there has been none."""
    rows = await services.outages.list()
    if not rows:
        raise NotFoundError(_NONE_YET)
    return rows


def _message(ask: Ask) -> Said:
    if ask.message is None:
        raise BotError("Slack sent no message with that shortcut. Nothing was changed; try it again.")
    return replace(ask.message, text=tidy(ask.message.text))


def _about(message: Said) -> dict[str, Any]:
    return {
        "channel": message.channel,
        "ts": message.ts,
        "thread": message.thread,
        "author": message.author,
        "text": clip(message.text, _KEPT),
    }


async def _said_again(filled: Filled) -> Said:
    """The message as it is now, with its link; as it was when the bot cannot read there."""
    about = filled.about
    try:
        message = await filled.look(about["channel"], about["ts"])
    except BotError:
        at = moment_of(about["ts"])
        return Said(about["channel"], about["ts"], at, about["text"], about["author"], thread=about["thread"])
    return replace(message, text=tidy(message.text))


def _number(value: str) -> int:
    return int(value.removeprefix("#"))


ADD_FORM = Form(_check_add, _submit_add)
ACTION_FORM = Form(_check_action, _submit_action)
