"""What people type after a slash command: verbs, names, numbers and free text, and a sentence where they do not fit.

Slack sends `&`, `<` and `>` escaped, and may wrap what looks like a link or names a person:
https://docs.slack.dev/messaging/formatting-message-text/
"""

import difflib
import ipaddress
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from bot.access import Actor
from bot.errors import BadInputError
from bot.services.bundle import Services
from bot.services.campaign_targets import is_all
from bot.services.plans import Plan
from bot.services.words import joined
from bot.slack.blocks import View, clip
from bot.slack.call import Call
from bot.slack.forms import Ask, Opener, Sheet
from bot.slack.later import Later
from bot.slack.views import asking as views
from bot.slack.views import replies

# What Slack makes of a link, a person, a channel or a group; any other `<` was typed.
_ANGLE = re.compile(r"<([a-z][a-z0-9+.-]*:[^<>|\s]+|[@#!][^<>|\s]+)(?:\|([^<>]*))?>", re.IGNORECASE)
_PERSON = re.compile(r"@[UW][A-Z0-9]+", re.ASCII)
# Marks without a width that come along when names are copied: they belong to texts, never to names.
_UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_OPENING = {'"': '"', "“": "”", "„": "“", "«": "»"}
_NUMBER = re.compile(r"#?(\d{1,9})", re.ASCII)
DRY_RUN = frozenset({"dry-run", "--dry-run", "—dry-run", "–dry-run", "dryrun"})
"""The last word that makes any command a rehearsal. Phones turn two hyphens into a dash."""
_DRY_RUN_APART = re.compile(r"(\S+\s+)?(\S+\s+)?dry\s+run\s*", re.IGNORECASE)
"""`pause spring-sale dry run`: nobody means that as a reason. In a longer text the two words may be what is said."""
HURRY = frozenset({"now", "yes"})
"""The last word that skips the question."""
_SHOWN = 60
_CLOSE_ENOUGH = 0.6


class Words:
    """The words of one verb, taken from the front one after the other; what is wrong with them is told with `usage`."""

    def __init__(self, text: str, usage: str) -> None:
        self.left = text.strip()
        self.usage = usage

    def word(self, what: str) -> str:
        """The next word, or several in quotes. Raises BadInputError that names `what` is missing."""
        word = self.maybe()
        if word is None:
            raise self.wrong(f"Say {what}.")
        return word

    def maybe(self) -> str | None:
        """The next word; None when there is none."""
        word, self.left = split(self.left)
        return word or None

    def peek(self) -> str:
        """The next word, left where it is; empty when there is none."""
        return split(self.left)[0]

    def take(self, *expected: str) -> str | None:
        """The next word when it is one of these, whatever its case; otherwise it stays."""
        if self.peek().casefold() not in expected:
            return None
        return (self.maybe() or "").casefold()

    def number(self, what: str) -> int:
        """`3` or `#3`: the number of `what`, as `the resend`. Raises BadInputError."""
        number = self.maybe_number(what)
        if number is None:
            raise self.wrong(f"Say the number of {what}.")
        return number

    def maybe_number(self, what: str) -> int | None:
        """As `number`, but None when nothing is left."""
        word = self.maybe()
        if word is None:
            return None
        match = _NUMBER.fullmatch(word)
        if match is None:
            raise self.wrong(f"{shown(word)} is not the number of {what}.")
        return int(match[1])

    def page(self) -> int:
        """The number of a page of a long list, where one stands next; the first page without it."""
        return (self.maybe_number("a page") or 1) if self.peek().isdecimal() else 1

    def leading_number(self, *, bare: bool = False) -> int | None:
        """`#3` at the front, and with `bare` also `3`; anything else stays, since a text may begin so."""
        word = self.peek()
        match = _NUMBER.fullmatch(word)
        if match is None or not (bare or word.startswith("#")):
            return None
        self.maybe()
        return int(match[1])

    def rest(self) -> str:
        """All that is left, as it was typed, without quotes round the whole; may be empty."""
        text, self.left = self.left, ""
        closing = _OPENING.get(text[:1], "")
        inner = text[1:-1]
        whole = len(text) > 1 and text.endswith(closing) and closing not in inner and text[0] not in inner
        return inner.strip() if closing and whole else text

    def text(self, what: str) -> str:
        """As `rest`, but it must not be empty. Raises BadInputError that names `what` is missing."""
        text = self.rest()
        if not text:
            raise self.wrong(f"Say {what}.")
        return text

    def end(self) -> None:
        """Nothing may be left. Raises BadInputError."""
        if self.left:
            raise self.wrong(f"{shown(self.left)} is more than that takes; nothing was done.")

    def wrong(self, sentence: str) -> BadInputError:
        return BadInputError(f"{sentence} Write it like this: {self.usage}")


def never(_text: str) -> bool:
    """For a verb that acts at once, whatever its words."""
    return False


def always(_text: str) -> bool:
    """For a verb that may have to ask, whatever its words."""
    return True


def for_all(text: str) -> bool:
    """For a verb that asks only when it is about `all`."""
    return is_all(split(text)[0])


@dataclass(frozen=True)
class Verb:
    """One thing that a command does. `usage` is what follows its name; `does` completes its line in the help."""

    name: str
    usage: str
    does: str
    run: Callable[[Services, Call, Words], Awaitable[View]]
    plan: Callable[[Services, Call, Words], Awaitable[Plan]] | None = None
    """What `run` would do with the same words, for `dry-run` and for the question; None: it only looks, or has none."""
    looks: bool = False
    """It changes nothing."""
    looks_alone: bool = False
    """It changes nothing where no words follow it, and has a plan for the others."""
    asks: Callable[[str], bool] = never
    """Whether with these words it may have to ask before it acts; the plan's deed decides (bot/services/plans.py)."""
    form: Opener | None = None
    """Asked first in Slack, with the words after the verb: the form that they ask for, if they do."""


@dataclass(frozen=True)
class Command:
    """A slash command: its verbs, found by name or by a beginning that only one has. An object of it is a handler."""

    name: str
    about: str
    example: str
    verbs: Sequence[Verb]
    empty: str = "help"
    """The verb that no words at all stand for."""

    async def __call__(self, services: Services, call: Call) -> View:
        """Raises BadInputError for words that it does not know, besides what the services raise."""
        text, dry = rehearsed(call.words)
        call = replace(call, words=text)
        typed, rest = split(text)
        if (typed or self.empty).casefold() in {"help", "?"}:
            return self.help(rest)
        verb, rest = self._meant(text)
        asks = verb.asks(rest)
        if asks:
            text, hurry = without_last(text, HURRY)
            call = replace(call, words=text)
        if dry:
            return await self._rehearse(verb, services, call)
        if asks and not hurry:
            plan = await self.plan(services, call)
            if plan.asks:
                return await ask(services, call.actor, f"{self.name} {text}", plan)
        return await self.do(services, call)

    async def plan(self, services: Services, call: Call) -> Plan:
        """What these words would do. Raises what doing it would raise; BadInputError where it cannot be told."""
        verb, text = self._meant(call.words)
        if verb.plan is None:
            raise BadInputError(f"There is no dry run of {self.name} {verb.name}. Nothing was done.")
        return await verb.plan(services, call, Words(tidy(text), self.usage(verb)))

    async def do(self, services: Services, call: Call) -> View:
        """Carry it out, without a question."""
        verb, text = self._meant(call.words)
        return await verb.run(services, call, Words(tidy(text), self.usage(verb)))

    async def _rehearse(self, verb: Verb, services: Services, call: Call) -> View:
        _, rest = self._meant(call.words)
        if verb.looks or (verb.looks_alone and not rest):
            return _only_looks(await self.do(services, call))
        plan = await self.plan(services, call)
        return views.dry_run(plan, tidy(f"{self.name} {call.words}"), services.settings.asking.undo_expires_after)

    def _meant(self, words: str) -> tuple[Verb, str]:
        typed, text = split(words)
        return self.find(typed or self.empty), text

    async def ask(self, services: Services, ask: Ask) -> Sheet | None:
        """The form that these words ask for; None where they are to be carried out, or refused, as they are."""
        words, dry = without_last(ask.words, DRY_RUN)
        typed, text = split(words)
        try:
            verb = self.find(typed or self.empty)
        except BadInputError:
            return None
        if verb.form is None or dry:
            return None
        return await verb.form(services, replace(ask, words=tidy(text).strip()))

    def find(self, typed: str) -> Verb:
        """The verb that is meant. Raises BadInputError with those that fit, or the near ones."""
        wanted = typed.casefold()
        begun = [verb for verb in self.verbs if verb.name.startswith(wanted)]
        exact = [verb for verb in begun if verb.name == wanted]
        if exact or len(begun) == 1:
            return (exact or begun)[0]
        known = [verb.name for verb in self.verbs]
        if begun:
            fitting = joined([verb.name for verb in begun], "or")
            raise BadInputError(f"{shown(typed)} can mean {fitting}. Type more of it, or see {self.name} help")
        near = difflib.get_close_matches(wanted, known, n=2, cutoff=_CLOSE_ENOUGH)
        meant = f"Did you mean {joined(near, 'or')}?" if near else f"It knows {joined(known)}."
        raise BadInputError(f"{self.name} does not know {shown(typed)}. {meant} See {self.name} help")

    def help(self, text: str = "") -> View:
        """One line a verb and an example; of one verb alone when `text` names it."""
        word = split(text)[0]
        verbs = [self.find(word)] if word else self.verbs
        return replies.usage(self.about, [(self.usage(verb), verb.does) for verb in verbs], self.example)

    def usage(self, verb: Verb) -> str:
        return f"{self.name} {verb.name} {verb.usage}".rstrip()


def _only_looks(view: View) -> View:
    """The note stands under what is shown last."""
    if not isinstance(view, Later):
        return views.only_looks(view)
    then = view.then

    async def noted() -> View:
        return views.only_looks(await then())

    return replace(view, then=noted)


async def ask(services: Services, actor: Actor, line: str, plan: Plan, come: Collection[str] = ()) -> View:
    """The question that stands before a deed. At a terminal there is nothing to press, so nothing is kept."""
    settings = services.settings.asking
    number = None
    if actor.source == "slack":
        number = (await services.asking.ask(actor, line, plan)).id
    return views.question(plan, number, tidy(line), settings.question_expires_after, settings.undo_expires_after, come)


def rehearsed(text: str) -> tuple[str, bool]:
    """The text without the word that makes it a dry run, and whether there was one."""
    if text.strip().casefold() in DRY_RUN:
        return "", True
    if _DRY_RUN_APART.fullmatch(text.lstrip()):
        return text.rstrip().rsplit(maxsplit=2)[0] if len(text.split()) > 2 else "", True
    return without_last(text, DRY_RUN)


def without_last(text: str, words: Collection[str]) -> tuple[str, bool]:
    """The text without its last word, and True, when that is one of these; something must stand before it."""
    parts = text.rsplit(maxsplit=1)
    if len(parts) == 2 and parts[1].casefold() in words:
        return parts[0], True
    return text, False


def split(text: str) -> tuple[str, str]:
    """The first word and the rest. Quotes hold several words together, and are taken off."""
    text = text.strip()
    closing = _OPENING.get(text[:1])
    end = text.find(closing, 1) if closing else -1
    if end > 0 and (end + 1 == len(text) or text[end + 1].isspace()):
        return _clean(text[1:end]), text[end + 1 :].lstrip()
    parts = text.split(maxsplit=1)
    return (_clean(parts[0]) if parts else ""), (parts[1] if len(parts) > 1 else "")


def _clean(word: str) -> str:
    return _UNSEEN.sub("", word).strip()


def tidy(text: str) -> str:
    """As it was typed, without what Slack wraps it in. A person's mention stays one: `<@U123>`."""
    plain = _ANGLE.sub(lambda found: _unwrapped(found[1], found[2] or ""), text)
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _unwrapped(target: str, label: str) -> str:
    if _PERSON.fullmatch(target):
        return f"<{target}>"
    if target[0] in "@#!":
        return ("#" if target[0] == "#" else "@") + (label or target[1:]).lstrip("@#")
    bare = re.sub(r"^(?:mailto|tel):", "", target)
    if not label or label == bare:
        return bare
    same = label.rstrip("/") == re.sub(r"^https?://", "", bare).rstrip("/")
    return label if same else f"{label} ({bare})"


def address(word: str, usage: str) -> tuple[str, int | None]:
    """HOST[:PORT] as typed or as Slack made a link of it: host and port. Raises BadInputError.

    An IPv6 address with a port stands in brackets (RFC 3986, section 3.2.2); names follow RFC 1123, section 2.1.
    """
    typed = re.sub(r"^(?:smtps?|https?)://", "", word, flags=re.IGNORECASE).rstrip("/")
    if match := re.fullmatch(r"\[([^\[\]]*)\](?::(.*))?", typed):
        host, port = _ipv6(match[1], usage), match[2]
    elif typed.count(":") > 1:
        raise BadInputError(f"Put an IPv6 address in brackets, as [{clip(typed, _SHOWN)}] or [::1]:25. {usage}")
    else:
        name, colon, tail = typed.partition(":")
        host, port = _host(name, usage), tail if colon else None
    return host, None if port is None else _port(port, usage)


def _ipv6(text: str, usage: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise BadInputError(f"{shown(text)} is no IPv6 address. Write it like this: {usage}") from None


def _host(text: str, usage: str) -> str:
    try:
        name = text.encode("idna").decode().rstrip(".").lower()
    except UnicodeError:
        name = ""
    labels = name.split(".")
    good = all(re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", label) for label in labels)
    if not good or len(name) > 253 or (labels[-1].isdigit() and not _is_ipv4(name)):
        raise BadInputError(
            f"{shown(text)} cannot be the name or address of a host, as mail.example.com or 192.0.2.7. "
            f"Write it like this: {usage}"
        )
    return name


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _port(text: str, usage: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or not 1 <= int(text) <= 65535:
        raise BadInputError(f"{shown(text)} cannot be a port: use 1 to 65535. Write it like this: {usage}")
    return int(text)


def shown(text: str) -> str:
    """What somebody typed, short and in quotes, for a sentence about it."""
    clean = "".join(char if char.isprintable() else " " for char in text)
    return f"“{clip(' '.join(clean.split()), _SHOWN)}”"


def pressed(value: str) -> int:
    """The number that a button carries: `5`. Raises BadInputError."""
    match = _NUMBER.fullmatch(value.partition(":")[0])
    if match is None:
        raise BadInputError("This button belongs to another version of Holdfast. Nothing was changed; use a command.")
    return int(match[1])


def decided(value: str) -> tuple[int, str]:
    """The number and the hash that the button of a decision carries: `5:HASH`. Raises BadInputError.

    Without the hash nobody could tell what was on the screen when it was pressed.
    """
    number, seen = pressed(value), value.partition(":")[2]
    if not seen:
        raise BadInputError("This button does not say what it decides on. Nothing was decided; use a command.")
    return number, seen
