"""`/holdfast audit`: the words of its filters, its pages and its file."""

from dataclasses import replace

from bot.access import Actor
from bot.clock import now
from bot.services.audit import Query, person
from bot.services.bundle import Services
from bot.services.since import parse_since
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.later import Attached
from bot.slack.views import audit as views
from commands.words import Verb, Words
from storage.audit import NOUNS

USAGE = "[export] [WHO] [WHAT] [since WHEN]"
_OTHERS = frozenset({"me", "holdfast", "terminal", "slack", "system"})


async def _audit(services: Services, call: Call, words: Words) -> View:
    if words.take("export", "csv"):
        return await export(services, call.actor, query(words, call.actor))
    return views.page(await services.audit.page(call.actor, query(words, call.actor)))


async def export(services: Services, actor: Actor, wanted: Query) -> Attached:
    """The rows as a file, for this person alone."""
    wanted = replace(wanted, before=None, after=None)
    made = await services.audit.export(actor, wanted)
    return Attached(views.exported(wanted, limited=made.limited), filename=made.name, lines=made.lines)


def query(words: Words, actor: Actor) -> Query:
    """What is looked for. Raises BadInputError for words that are too many or no time."""
    found = Query()
    while words.left:
        if words.take("before"):
            found = replace(found, before=words.number("a row"))
        elif words.take("after"):
            found = replace(found, after=words.number("a row"))
        elif words.take("since"):
            found = replace(found, since=parse_since(words.text("since when"), actor.zone, now()))
        else:
            found = _filter(found, words)
    return found


def _filter(found: Query, words: Words) -> Query:
    """One word about who or what; a noun may have a number behind it."""
    by, word = words.take("by"), words.word("who or what")
    if by or word.startswith(("@", "<@")) or word.casefold() in _OTHERS:
        if found.who is not None:
            raise words.wrong("That names two people. Look at one at a time.")
        return replace(found, who=person(word.removeprefix("@")))
    if found.what is not None:
        raise words.wrong("That names two things. Look at one at a time.")
    numbered = word.casefold().removesuffix("s") in NOUNS and words.peek().removeprefix("#").isdecimal()
    return replace(found, what=word, number=words.number("a row") if numbered else None)


async def _turn(services: Services, click: Click) -> View:
    """Another page, in the place of the one whose button was pressed."""
    wanted = query(Words(click.value, f"/holdfast audit {USAGE}"), click.actor)
    return views.page(await services.audit.page(click.actor, wanted), in_place=True)


VERBS = (
    Verb(
        "audit",
        USAGE,
        "who did what: @maria, campaign, spring-sale, outage 3; export makes a CSV",
        _audit,
        looks=True,
    ),
)

ACTIONS: dict[str, ClickHandler] = {"holdfast.older": _turn, "holdfast.newer": _turn}
