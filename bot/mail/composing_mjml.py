"""MJML as a source: made into HTML once, by mrml, with the fields of the template left where they stood.

mrml crashes on what is nested very deeply, stumbles over some characters beyond ASCII and says little about a
mistake. So the tags are looked through here first, where their lines are known, and mrml is given plain ASCII:
tags of the template and everything beyond ASCII stand in it as words, which are put back afterwards. Nothing is
read from elsewhere: mj-include is refused.
"""

import difflib
import re
from dataclasses import dataclass
from itertools import count
from typing import Final

import mrml

from bot.errors import BadInputError
from bot.mail.addresses import shown
from bot.mail.templates import MOST_TEMPLATE_CHARS, mask_tags

_MOST_NESTED: Final = 100
_MOST_TAGS: Final = 10_000
_LONGEST_DEFAULTS: Final = 2_000  # of one tag in mj-attributes; each tag that they are for repeats them
_MARKUP: Final = re.compile(
    r"""<!--(?P<comment>.*?)-->
      | <(?P<closing>/?)(?P<name>[A-Za-z][\w:-]*)
        (?P<attributes>(?:\s+[A-Za-z_:@][\w:.-]*(?:\s*=\s*(?:"[^"<]*"|'[^'<]*'))?)*)
        \s*(?P<empty>/?)>
      | <""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_NAME: Final = re.compile(r"</?([A-Za-z][\w:-]*)", re.ASCII)
_QUOTE_WITHIN: Final = re.compile(r"""=\s*'[^'"]*"[^']*'""")
_MASKED: Final = re.compile("\ue000[0-9]+\ue001|[^\t\n\r -~\ue000]+|\ue000")
_AT: Final = re.compile(r" at position ([0-9]+):([0-9]+)")
_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
_TAGS: Final = frozenset(
    {"mjml", "mj-head", "mj-body", "mj-attributes", "mj-all", "mj-class", "mj-breakpoint", "mj-font", "mj-preview"}
    | {"mj-style", "mj-title", "mj-raw", "mj-accordion", "mj-accordion-element", "mj-accordion-text", "mj-button"}
    | {"mj-accordion-title", "mj-carousel", "mj-carousel-image", "mj-column", "mj-divider", "mj-group", "mj-hero"}
    | {"mj-image", "mj-navbar", "mj-navbar-link", "mj-section", "mj-social", "mj-social-element", "mj-spacer"}
    | {"mj-table", "mj-text", "mj-wrapper"}
)


@dataclass(frozen=True, slots=True)
class _Masked:
    """The MJML in ASCII, and what its words, which begin with `mark`, stand for. `fields` must not be lost."""

    text: str
    mark: str
    words: dict[str, str]
    fields: frozenset[str]

    def put_back(self, text: str) -> str:
        return re.sub(f"{self.mark}[0-9]+z", lambda word: self.words[word[0]], text)

    def line(self, at: int) -> int:
        return self.put_back(self.text[:at]).count("\n") + 1


def html_of_mjml(source: str) -> str:
    """The HTML template that this MJML template says; its syntax as a template has been checked.

    Raises BadInputError, with the line and the tag, for what is no MJML, for mj-include, and for a field that
    stands where MJML takes none.
    """
    if len(source) > MOST_TEMPLATE_CHARS:
        raise BadInputError(f"The MJML is longer than {MOST_TEMPLATE_CHARS:,} characters. Shorten it.")
    masked = _mask(source)
    _check_tags(masked)
    try:
        html = str(mrml.to_html(masked.text).content)
    except OSError as error:  # all that mrml raises
        raise _refused(masked, str(error)) from error
    for word in masked.words:
        if word in masked.fields and word not in html:
            raise BadInputError(
                f"{shown(masked.words[word])} on line {masked.line(masked.text.index(word))} of the MJML would be "
                "lost: MJML takes nothing there. Put it into the text of mj-text, mj-button or mj-raw, or into an "
                "attribute such as href or src."
            )
    return masked.put_back(html)


def _mask(source: str) -> _Masked:
    masked, tags = mask_tags(source)
    mark = next(word for number in count() if (word := f"word{number}x") not in source)
    words: dict[str, str] = {}
    fields = set()

    def named(found: re.Match[str]) -> str:
        tag = tags.get(found[0])
        if tag is not None and tag.startswith("{# "):
            return ""
        word = f"{mark}{len(words)}z"
        words[word] = tag or found[0]
        if tag is not None:
            fields.add(word)
        return word

    return _Masked(_MASKED.sub(named, masked), mark, words, frozenset(fields))


def _check_tags(masked: _Masked) -> None:
    """Every tag is known, closed, and closed in its order. Raises BadInputError with the line."""
    opened: list[tuple[str, int]] = []
    seen = set()
    for number, found in enumerate(_MARKUP.finditer(masked.text)):
        name, at = found["name"], found.start()
        if number > _MOST_TAGS:
            raise BadInputError(f"The MJML has more than {_MOST_TAGS:,} tags. Shorten it.")
        if name is None:
            _check_no_tag(masked, found)
            continue
        if _QUOTE_WITHIN.search(found["attributes"]):
            raise _mistake(masked, at, f"<{name}> has a \" within an attribute in ' quotes: write &quot; for it")
        if not opened and (name != "mjml" or "mjml" in seen or found["closing"]):
            raise _mistake(masked, at, f"<{name}> stands outside <mjml>, which holds all of it")
        seen.add(name)
        if found["closing"]:
            _check_closing(masked, at, name, opened)
            continue
        _check_known(masked, at, name)
        if opened and opened[-1][0] == "mj-attributes" and len(found["attributes"]) > _LONGEST_DEFAULTS:
            raise _mistake(masked, at, f"<{name}> in mj-attributes is longer than {_LONGEST_DEFAULTS:,} characters")
        if not found["empty"] and name.lower() not in _VOID:
            opened.append((name, at))
            if len(opened) > _MOST_NESTED:
                raise _mistake(masked, at, f"<{name}> stands within {_MOST_NESTED} others: make it simpler")
    if opened:
        raise _mistake(masked, opened[-1][1], f"<{opened[-1][0]}> is never closed")
    if not {"mjml", "mj-body"} <= seen:
        raise BadInputError("The message is not MJML: it has no <mjml> with an <mj-body> in it. Name another file.")


def _check_no_tag(masked: _Masked, found: re.Match[str]) -> None:
    if found["comment"] is not None:
        if "--" in found["comment"]:
            raise _mistake(masked, found.start(), 'a comment holds "--", which may only end it')
        return
    begun = _NAME.match(masked.text, found.start())
    if begun:
        raise _mistake(masked, found.start(), f'<{begun[1]}> is not written right: attributes are name="value"')
    raise _mistake(masked, found.start(), "a < begins no tag: write &lt; for it")


def _check_closing(masked: _Masked, at: int, name: str, opened: list[tuple[str, int]]) -> None:
    if opened[-1][0] != name:
        inner, begun = opened[-1]
        raise _mistake(masked, at, f"</{name}> comes while <{inner}> of line {masked.line(begun)} is open")
    opened.pop()


def _check_known(masked: _Masked, at: int, name: str) -> None:
    if name == "mj-include":
        raise _mistake(
            masked, at, "<mj-include> asks for another file, and Holdfast reads none but this: put its text here"
        )
    if name.lower().startswith(("mj-", "mjml")) and name not in _TAGS:
        near = difflib.get_close_matches(name.lower(), _TAGS, n=1)
        meant = f": did you mean <{near[0]}>?" if near else ""
        raise _mistake(masked, at, f"<{shown(name)}> is no tag of MJML{meant}")


def _mistake(masked: _Masked, at: int, what: str) -> BadInputError:
    stop = "" if what.endswith("?") else "."
    return BadInputError(
        f"The MJML has a mistake on line {masked.line(at)}: {masked.put_back(what)}{stop} Correct it and try again."
    )


def _refused(masked: _Masked, said: str) -> BadInputError:
    """What mrml did not take: with its own words, and with the place where it gives one."""
    place = _AT.search(said)
    if place is None:
        return BadInputError(f"The MJML cannot be read: {shown(said, 120)}. Correct it and try again.")
    piece = " ".join(masked.put_back(masked.text[int(place[1]) : int(place[2])]).split())
    what = said[: place.start()].removesuffix(" in root template")
    return _mistake(masked, int(place[1]), f'{what} "{shown(piece)}"')
