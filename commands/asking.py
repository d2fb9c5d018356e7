"""The buttons of a question, and Undo: pressed once, by whoever may do the deed."""

from collections.abc import Mapping
from dataclasses import replace

from bot.access import Actor
from bot.errors import SHOWABLE, BadInputError
from bot.services.asking import TooLateError, has_come
from bot.services.bundle import Services
from bot.services.undoing import SpentError
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler, Handler
from bot.slack.views import asking as views
from commands.words import Command, ask, pressed, split


def actions(commands: Mapping[str, Handler]) -> dict[str, ClickHandler]:
    """`commands` are those that a question may be about."""

    async def confirmed(services: Services, click: Click) -> View:
        number = pressed(click.value)
        try:
            question = await services.asking.waiting(number)
        except TooLateError as error:
            return views.settled(str(error))
        name, words = split(question.line)
        command, call = commands.get(name), Call(click.actor, words, click.channel, click.trigger)
        if not isinstance(command, Command):
            raise BadInputError("This question belongs to another version of Holdfast. Nothing was changed.")
        plan = await command.plan(services, call)
        come = has_come(question, plan)
        # Where a second person is asked by now, the approval is the question.
        if plan.asks and (come or plan.deed != question.deed):
            return replace(await ask(services, click.actor, question.line, plan, come), instead=True)
        return await _carry_out(services, click, number, command, call)

    return {"holdfast.confirm": confirmed, "holdfast.drop": _dropped, "holdfast.undo": _undone}


async def _carry_out(services: Services, click: Click, number: int, command: Command, call: Call) -> View:
    """Answered first, so that a second press finds it answered, whatever becomes of the deed."""
    try:
        await services.asking.answer(click.actor, number, "confirmed")
        return replace(await command.do(services, call), instead=True)
    except SHOWABLE as error:
        return views.settled(str(error))


async def _dropped(services: Services, click: Click) -> View:
    try:
        await services.asking.answer(click.actor, pressed(click.value), "dropped")
    except TooLateError as error:
        return views.settled(str(error))
    return views.settled("Nothing was changed.")


async def _undone(services: Services, click: Click) -> View:
    try:
        return views.settled(f"Undone. {await services.undoing.undo(click.actor, pressed(click.value))}")
    except SpentError as error:
        return views.settled(str(error))


async def done(services: Services, actor: Actor, text: str, undo: int | None) -> View:
    """The reply to a deed, with the button that takes it back where this person may press it."""
    shown = undo if undo is not None and actor.source == "slack" else None
    if shown is not None and not await services.undoing.may(actor, shown):
        shown = None
    return views.done(text, shown)
