"""`/resend` and the buttons of its card: plan, decide, pause, resume and cancel resends."""

from typing import cast, get_args

from bot.services.bundle import Services
from bot.services.names import ALL
from bot.services.plans import Plan
from bot.services.resends import Choice
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.views import resend_replies as views
from bot.slack.views import unknown as unknown_views
from bot.slack.views.replies import said
from bot.slack.views.resend_replies import changed
from commands.asking import done
from commands.forms import planning
from commands.words import Command, Verb, Words, always, ask, decided, pressed, split
from storage.models import ResendState

_THE_RESEND = "the resend"
_OPTIONS = ("unknown", "refused")


async def _plan(services: Services, call: Call, words: Words) -> View:
    word, chosen = _word_and_options(words)
    resend = await services.resends.plan(
        call.actor, word, include_unknown="unknown" in chosen, include_refused="refused" in chosen
    )
    return views.planned(await services.resends.status(resend.id))


async def _list(services: Services, _: Call, words: Words) -> View:
    page = words.page()
    words.end()
    return views.listing(await services.resends.list(), page)


async def _status(services: Services, _: Call, words: Words) -> View:
    return views.status_of(await services.resends.status(_maybe_number(words)))


async def _approve(services: Services, call: Call, words: Words) -> View:
    number, choice = _number_and_choice(words)
    resend = await services.resends.approve(call.actor, number, choice=choice)
    what = "is approved and goes out."
    if resend.wave == 0:
        what = f"is approved{' and goes out in stages' if resend.ramped else ''}: 1 % of it goes out first."
    return changed(resend, what, f"Stop it with /resend pause {resend.id}")


async def _reject(services: Services, call: Call, words: Words) -> View:
    resend = await services.resends.reject(call.actor, _number(words))
    return changed(resend, "is rejected: nothing of it is sent.", "To ask again: /resend plan")


async def _rest(services: Services, call: Call, words: Words) -> View:
    resend = await services.resends.rest(call.actor, _number(words))
    return changed(resend, "goes on with the rest.", f"Stop it with /resend pause {resend.id}")


async def _next(services: Services, call: Call, words: Words) -> View:
    return said(await services.ramps.next_of_resend(call.actor, _maybe_number(words)))


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


async def _unknown(services: Services, call: Call, words: Words) -> View:
    word = None if words.take(ALL) else words.maybe()
    page = words.page()
    words.end()
    return unknown_views.listing(await services.unknowns.list(call.actor, word, page))


async def _delivered(services: Services, call: Call, words: Words) -> View:
    counted = await services.unknowns.count(call.actor, *_target_and_which(words))
    return await done(services, call.actor, counted.text, counted.undo)


def _target_and_which(words: Words) -> tuple[str, str]:
    target = words.word("which outage or campaign")
    which = words.word("which address, or all")
    words.end()
    return target, which


def _about_all(text: str) -> bool:
    """Whether `delivered` is about all of an outage or a campaign, which asks first."""
    return split(split(text)[1])[0].casefold() == ALL


def _word_and_options(words: Words) -> tuple[str | None, set[str]]:
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
    return word, chosen


# What each would do.


async def _plan_plan(services: Services, call: Call, words: Words) -> Plan:
    word, chosen = _word_and_options(words)
    return await services.plans.resends.plan(
        call.actor, word, include_unknown="unknown" in chosen, include_refused="refused" in chosen
    )


async def _plan_approve(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.resends.approve(call.actor, *_number_and_choice(words))


async def _plan_next(services: Services, call: Call, words: Words) -> Plan:
    return await services.ramps.plan_next_of_resend(call.actor, _maybe_number(words))


async def _plan_reject(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.resends.reject(call.actor, _number(words))


async def _plan_rest(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.resends.rest(call.actor, _number(words))


async def _plan_pause(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.resends.pause(call.actor, _maybe_number(words))


async def _plan_resume(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.resends.resume(call.actor, _maybe_number(words))


async def _plan_cancel(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.resends.cancel(call.actor, _maybe_number(words))


async def _plan_delivered(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.unknowns.plan(call.actor, *_target_and_which(words))


def _number_and_choice(words: Words) -> tuple[int, Choice]:
    number = words.number(_THE_RESEND)
    choice = cast("Choice", words.take(*get_args(Choice)) or "all")
    words.end()
    return number, choice


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


async def _in_stages(services: Services, click: Click) -> None:
    number, plan_hash = decided(click.value)
    await services.resends.approve(click.actor, number, plan_hash, "ramp")


async def _rejected(services: Services, click: Click) -> None:
    number, plan_hash = decided(click.value)
    await services.resends.reject(click.actor, number, plan_hash)


async def _rest_sent(services: Services, click: Click) -> None:
    number, plan_hash = decided(click.value)
    await services.resends.rest(click.actor, number, plan_hash)


async def _gone_on(services: Services, click: Click) -> None:
    await services.ramps.next_of_resend(click.actor, pressed(click.value))


async def _paused(services: Services, click: Click) -> None:
    await services.resends.pause(click.actor, pressed(click.value))


async def _resumed(services: Services, click: Click) -> None:
    await services.resends.resume(click.actor, pressed(click.value))


async def _cancelled(services: Services, click: Click) -> None:
    await services.resends.cancel(click.actor, pressed(click.value))


# The buttons of the list of unknown deliveries.


async def _arrived(services: Services, click: Click) -> View:
    campaign, _, n = click.value.partition(":")
    counted = await services.unknowns.count_one(click.actor, pressed(campaign), pressed(n))
    return await done(services, click.actor, counted.text, counted.undo)


async def _all_arrived(services: Services, click: Click) -> View:
    """Asks first, as the command does."""
    plan = await services.plans.unknowns.plan(click.actor, click.value, ALL)
    return await ask(services, click.actor, f"/resend delivered {click.value} {ALL}", plan)


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
            _plan_plan,
            form=planning.open_form,
        ),
        Verb("list", "[PAGE]", "the newest resends", _list, looks=True),
        Verb("status", "[ID]", "one resend: its counts, its progress", _status, looks=True),
        Verb(
            "approve",
            "ID [canary|ramp|whole]",
            "let it go: 1 % and then ask, in stages, or at once (not for who planned it)",
            _approve,
            _plan_approve,
        ),
        Verb("reject", "ID", "say no: nothing of it is sent", _reject, _plan_reject),
        Verb("rest", "ID", "after the first 1 %: send the rest", _rest, _plan_rest),
        Verb("next", "[ID]", "its next stage begins now, without waiting", _next, _plan_next),
        Verb("pause", "[ID]", "stop it", _pause, _plan_pause),
        Verb("resume", "[ID]", "go on where it stood", _resume, _plan_resume),
        Verb("cancel", "[ID]", "end it for good", _cancel, _plan_cancel, asks=always),
        Verb(
            "unknown",
            "[OUTAGE|CAMPAIGN|all] [PAGE]",
            "who may or may not have got their mail, by name",
            _unknown,
            looks=True,
        ),
        Verb(
            "delivered",
            "OUTAGE|CAMPAIGN ADDRESS|all",
            "count what is unknown as delivered, since you know that it arrived",
            _delivered,
            _plan_delivered,
            asks=_about_all,
        ),
    ),
)

ACTIONS: dict[str, ClickHandler] = {
    "resend.approve": _approved,
    "resend.canary": _first,
    "resend.ramp": _in_stages,
    "resend.next": _gone_on,
    "resend.reject": _rejected,
    "resend.rest": _rest_sent,
    "resend.pause": _paused,
    "resend.resume": _resumed,
    "resend.cancel": _cancelled,
    "resend.delivered": _arrived,
    "resend.delivered_all": _all_arrived,
}
