"""Names that people type: completed when they are unambiguous, answered with near ones when they are not."""

import difflib
import re
from collections.abc import Sequence

from bot.errors import BadInputError, NotFoundError
from bot.services.words import joined

ALL = "all"
"""The word for every campaign; nothing may be called so."""

_WORDS = frozenset({"now", "yes", "dry-run"})
"""Last words that mean something to every command."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SHOWN = 8
_CLOSE_ENOUGH = 0.6


def complete(word: str, names: Sequence[str], noun: str, when_none: str = "") -> str:
    """The one of `names` that is meant: written out, or begun so that only one fits. Case does not matter.

    Raises NotFoundError with the candidates, the near names, or `when_none` (what to do when there are none at all).
    """
    wanted = word.strip().casefold()
    if not names:
        raise NotFoundError(f"There is no {noun} yet. {when_none}".rstrip())
    if not wanted:
        raise NotFoundError(f"Which {noun}? There is {_listed(sorted(names))}.")
    for name in names:
        if name.casefold() == wanted:
            return name
    begun = [name for name in names if name.casefold().startswith(wanted)]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise NotFoundError(f"“{_shown(word)}” fits several {noun}s: {_listed(sorted(begun))}. Type more of the name.")
    raise NotFoundError(f"There is no {noun} “{_shown(word)}”. {_suggestion(wanted, names)}")


def _suggestion(wanted: str, names: Sequence[str]) -> str:
    by_folded = {name.casefold(): name for name in names}
    near = [by_folded[key] for key in difflib.get_close_matches(wanted, by_folded, n=3, cutoff=_CLOSE_ENOUGH)]
    if not near:
        near = sorted(name for key, name in by_folded.items() if wanted in key)
    if near:
        return f"Did you mean {_listed(near, 'or')}?"
    return f"There is {_listed(sorted(names))}."


def _listed(names: Sequence[str], last_word: str = "and") -> str:
    shown = names[:_SHOWN]
    rest = len(names) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} more"
    return joined(shown, last_word)


def _shown(word: str) -> str:
    clean = "".join(char if char.isprintable() else "?" for char in word.strip())
    return clean if len(clean) <= 60 else clean[:59] + "…"


def check_name(name: str, noun: str) -> str:
    """The name if it can be one: lower-case letters, digits and hyphens, at most 63. Raises BadInputError."""
    if not _NAME.fullmatch(name):
        raise BadInputError(
            f"“{_shown(name)}” cannot be the name of a {noun}: use lower-case letters, digits and hyphens, "
            f"at most 63 of them, not beginning with a hyphen, as in {_proposal(name, noun)}."
        )
    if name == ALL:
        raise BadInputError(f"A {noun} cannot be called “{ALL}”: that word means every one. Choose another name.")
    if name in _WORDS:
        raise BadInputError(f"A {noun} cannot be called “{name}”: that word ends commands. Choose another name.")
    return name


def _proposal(name: str, noun: str) -> str:
    made = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:63].rstrip("-")
    return made if made and made != ALL else ("primary" if noun == "server" else "spring-sale")
