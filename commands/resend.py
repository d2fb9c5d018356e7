"""`/resend` and the buttons of its card: plan, decide, pause, resume and cancel resends."""

from bot.services.bundle import Services
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.views import resend_replies as views
from bot.slack.views.resend_replies import changed
from commands.forms import planning
from commands.words import Command, Verb, Words, decided, pressed
from storage.models import ResendState

_THE_RESEND = "the resend"
_OPTIONS = ("unknown", "refused")


async def _plan(services: Services, call: Call, words: Words) -> View:
    word = None if words.peek().casefold() == "with" else words.maybe()
    chosen = set()
    while words.take("with", "and"):
        option = words.take(*_OPTIONS)
        if option is None:
            raise words.wrong("With what: unknown or refused?")
        chosen.add(option)
        while option := words.take(*_OPTIONS):
            chosen.add(option)
    words.end()
    resend = await services.resends.plan(
        call.actor, word, include_unknown="unknown" in chosen, include_refused="refused" in chosen
    )
    return views.planned(await services.resends.status(resend.id))


async def _list(services: Services, _: Call, words: Words) -> View:
    words.end()
    return views.listing(await services.resends.list())


async def _status(services: Services, _: Call, words: Words) -> View:
    return views.status_of(await services.resends.status(_maybe_number(words)))


async def _approve(services: Services, call: Call, words: Words) -> View:
    number = words.number(_THE_RESEND)
    canary = words.take("canary")
    words.end()
    resend = await services.resends.approve(call.actor, number, choice="canary" if canary else "all")
    what = "is approved: 1 % of it goes out first." if canary and resend.wave == 0 else "is approved and goes out."
    return changed(resend, what, f"Stop it with /resend pause {resend.id}")


async def _reject(services: Services, call: Call, words: Words) -> View:
    resend = await services.resends.reject(call.actor, _number(words))
    return changed(resend, "is rejected: nothing of it is sent.", "To ask again: /resend plan")


async def _rest(services: Services, call: Call, words: Words) -> View:
    resend = await services.resends.rest(call.actor, _number(words))
    return changed(resend, "goes on with the rest.", f"Stop it with /resend pause {resend.id}")


async def _pause(services: Services, call: Call, words: Words) -> View:
    resend = await services.resends.pause(call.actor, _maybe_number(words))
    return changed(resend, "is stopping; its card says when.", f"Undo it with /resend resume {resend.id}")


async def _resume(services: Services, call: Call, words: Words) -> View:
    resend = await services.resends.resume(call.actor, _maybe_number(words))
    return changed(resend, "goes on.", f"Undo it with /resend pause {resend.id}")


async def _cancel(services: Services, call: Call, words: Words) -> View:
    resend = await services.resends.cancel(call.actor, _maybe_number(words))
    over = resend.state == ResendState.CANCELLED
    done = "is cancelled." if over else "is being cancelled; its card says when it has stopped."
    return changed(resend, done, "This cannot be undone; what was not sent can be planned anew: /resend plan")


def _number(words: Words) -> int:
    number = words.number(_THE_RESEND)
    words.end()
    return number


def _maybe_number(words: Words) -> int | None:
    number = words.maybe_number(_THE_RESEND)
    words.end()
    return number


# The buttons of the card. It is edited, and its thread says who did what.


async def _approved(services: Services, click: Click) -> None:
    number, plan_hash = decided(click.value)
    await services.resends.approve(click.actor, number, plan_hash)


async def _first(services: Services, click: Click) -> None:
    number, plan_hash = decided(click.value)
    await services.resends.approve(click.actor, number, plan_hash, "canary")


async def _rejected(services: Services, click: Click) -> None:
    number, plan_hash = decided(click.value)
    await services.resends.reject(click.actor, number, plan_hash)


async def _rest_sent(services: Services, click: Click) -> None:
    number, plan_hash = decided(click.value)
    await services.resends.rest(click.actor, number, plan_hash)


async def _paused(services: Services, click: Click) -> None:
    await services.resends.pause(click.actor, pressed(click.value))


async def _resumed(services: Services, click: Click) -> None:
    await services.resends.resume(click.actor, pressed(click.value))


async def _cancelled(services: Services, click: Click) -> None:
    await services.resends.cancel(click.actor, pressed(click.value))


COMMAND = Command(
    name="/resend",
    about="Resends: send again what an outage lost, exactly once, after a second person's approval.",
    example="/resend plan spring-sale with unknown",
    verbs=(
        Verb(
            "plan",
            "[OUTAGE|CAMPAIGN] [with unknown] [with refused]",
            "freeze what would be sent again, and ask for its approval",
            _plan,
            planning.open_form,
        ),
        Verb("list", "", "the newest resends", _list),
        Verb("status", "[ID]", "one resend: its counts, its progress", _status),
        Verb("approve", "ID [canary]", "let it go; with canary 1 % first (not for who planned it)", _approve),
        Verb("reject", "ID", "say no: nothing of it is sent", _reject),
        Verb("rest", "ID", "after the first 1 %: send the rest", _rest),
        Verb("pause", "[ID]", "stop it", _pause),
        Verb("resume", "[ID]", "go on where it stood", _resume),
        Verb("cancel", "[ID]", "end it for good", _cancel),
    ),
)

ACTIONS: dict[str, ClickHandler] = {
    "resend.approve": _approved,
    "resend.canary": _first,
    "resend.reject": _rejected,
    "resend.rest": _rest_sent,
    "resend.pause": _paused,
    "resend.resume": _resumed,
    "resend.cancel": _cancelled,
}
