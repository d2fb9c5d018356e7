"""What people type after a slash command is understood, or refused with a sentence that says how to write it."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import BadInputError
from bot.services.bundle import Services
from bot.slack.blocks import View
from bot.slack.call import Call
from commands.words import Command, Verb, Words, address, decided, pressed, rehearsed, shown, split, tidy

USAGE = "/server add NAME HOST[:PORT]"


async def _nothing(_: Services, __: Call, words: Words) -> View:
    return View(words.rest())


def _command(*names: str) -> Command:
    verbs = [Verb(name, "NAME", f"what {name} does", _nothing) for name in names]
    return Command("/campaign", "About campaigns.", "/campaign pause spring-sale", verbs)


CAMPAIGN = _command("list", "status", "start", "pause", "resume", "cancel")


# Verbs


@pytest.mark.parametrize(
    ("typed", "meant"), [("pause", "pause"), ("PAUSE", "pause"), ("pau", "pause"), ("p", "pause"), ("star", "start")]
)
def test_a_verb_is_found_by_its_name_or_an_unambiguous_beginning(typed: str, meant: str) -> None:
    assert CAMPAIGN.find(typed).name == meant


def test_a_whole_name_wins_over_a_longer_one_that_begins_so() -> None:
    assert _command("res", "resume").find("res").name == "res"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("s", "“s” can mean status or start. Type more of it, or see /campaign help"),
        ("puase", "/campaign does not know “puase”. Did you mean pause? See /campaign help"),
        ("xyzzy", "/campaign does not know “xyzzy”. It knows list, status, start, pause, resume and cancel."),
    ],
)
def test_a_wrong_verb_is_answered_with_those_that_fit(typed: str, sentence: str) -> None:
    with pytest.raises(BadInputError) as refused:
        CAMPAIGN.find(typed)
    assert str(refused.value).startswith(sentence)


def test_the_help_has_a_line_for_each_verb_and_an_example() -> None:
    text = str(CAMPAIGN.help().blocks)
    for verb in CAMPAIGN.verbs:
        assert f"`/campaign {verb.name} NAME`  what {verb.name} does" in text
    assert "Example: `/campaign pause spring-sale`" in text


def test_the_help_of_one_verb_is_about_that_one() -> None:
    text = str(CAMPAIGN.help("pau").blocks)
    assert "/campaign pause NAME" in text
    assert "/campaign resume" not in text


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("pause all dry-run", "pause all"),
        ("pause all the price is wrong  DRY-RUN ", "pause all the price is wrong"),
        ("pause all --dry-run", "pause all"),
        ("pause all —dry-run", "pause all"),
        ("pause spring-sale dry run", "pause spring-sale"),
        ("dry-run", ""),
        ("dry run", ""),
    ],
)
def test_a_dry_run_is_the_last_word(typed: str, left: str) -> None:
    assert rehearsed(typed) == (left, True)


@pytest.mark.parametrize(
    "typed", ["pause all dry-run please", 'update "we try a dry-run"', "resolve it was only a dry run", "pause all", ""]
)
def test_anywhere_else_it_is_part_of_what_is_said(typed: str) -> None:
    assert rehearsed(typed) == (typed, False)


# Words


def test_words_come_one_after_the_other_and_the_rest_as_it_was_typed() -> None:
    words = Words("  spring-sale   the price\n is  wrong ", "/x")
    assert words.word("which campaign") == "spring-sale"
    assert words.rest() == "the price\n is  wrong"
    assert words.left == ""


@pytest.mark.parametrize(
    ("typed", "word", "rest"),
    [
        ('"spring sale" now', "spring sale", "now"),
        ("“spring sale” now", "spring sale", "now"),
        ('"spring sale', '"spring', "sale"),
        ('"spring"sale now', '"spring"sale', "now"),
        ("a\u00a0b", "a", "b"),
        ("\u200fspring-sale\u200e now", "spring-sale", "now"),
        ("", "", ""),
    ],
)
def test_quotes_hold_words_together_and_marks_without_a_width_are_dropped(typed: str, word: str, rest: str) -> None:
    assert split(typed) == (word, rest)


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ('"to all: hello"', "to all: hello"),
        ('"one" and "two"', '"one" and "two"'),
        ("don't panic", "don't panic"),
        ("🔥 הודעה حريق 🔥", "🔥 הודעה حريق 🔥"),
        ('"', '"'),
    ],
)
def test_a_text_loses_only_the_quotes_round_the_whole_of_it(typed: str, text: str) -> None:
    assert Words(typed, "/x").text("it") == text


def test_what_is_missing_is_named_with_the_usage() -> None:
    with pytest.raises(BadInputError, match=r"^Say which campaign\. Write it like this: /campaign pause NAME$"):
        Words("", "/campaign pause NAME").word("which campaign")
    with pytest.raises(BadInputError, match=r"^Say what is new\. Write it like this: "):
        Words("  ", "/outage update TEXT").text("what is new")


def test_what_is_too_much_is_refused_and_nothing_is_done() -> None:
    words = Words("spring-sale and more", "/campaign start NAME")
    words.word("which campaign")
    with pytest.raises(BadInputError, match=r"“and more” is more than that takes; nothing was done\. .*start NAME$"):
        words.end()


def test_a_long_wrong_text_is_quoted_in_short() -> None:
    with pytest.raises(BadInputError) as refused:
        Words("x" * 4000, "/campaign list").end()
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(("typed", "number"), [("3", 3), ("#3", 3), ("", None)])
def test_a_number_may_have_its_sign_or_be_left_out(typed: str, number: int | None) -> None:
    assert Words(typed, "/x").maybe_number("the outage") == number


@pytest.mark.parametrize("typed", ["three", "#", "3a", "-1", "9999999999", "٣"])
def test_what_is_no_number_is_refused(typed: str) -> None:
    with pytest.raises(BadInputError, match="is not the number of the outage"):
        Words(typed, "/outage status [#ID]").number("the outage")


def test_a_text_may_begin_with_a_number_of_its_own() -> None:
    words = Words("3 servers are away", "/x")
    assert words.leading_number() is None
    assert words.rest() == "3 servers are away"
    words = Words("#3 still looking", "/x")
    assert (words.leading_number(), words.rest()) == (3, "still looking")


# What Slack makes of it


@pytest.mark.parametrize(
    ("sent", "typed"),
    [
        ("Tom &amp; Jerry &lt;3", "Tom & Jerry <3"),
        ("&amp;lt;", "&lt;"),
        ("<http://mail.example.com|mail.example.com>", "mail.example.com"),
        ("<https://shop.example.com/sale?a=1&amp;b=2>", "https://shop.example.com/sale?a=1&b=2"),
        ("<https://shop.example.com|the shop>", "the shop (https://shop.example.com)"),
        ("<mailto:p1@example.com|p1@example.com>", "p1@example.com"),
        ("ask <@U012AB|maria>", "ask <@U012AB>"),
        ("see <#C012AB|email-ops>", "see #email-ops"),
        ("<!here> look", "@here look"),
        ("<!subteam^S012|@ops>", "@ops"),
        ("under <5 ms and >3 ms", "under <5 ms and >3 ms"),
    ],
)
def test_what_slack_wraps_is_unwrapped_but_a_person_stays_one(sent: str, typed: str) -> None:
    assert tidy(sent) == typed


# Hosts


@pytest.mark.parametrize(
    ("typed", "host", "port"),
    [
        ("mail.example.com", "mail.example.com", None),
        ("Mail.Example.com.:2525", "mail.example.com", 2525),
        ("192.0.2.7:587", "192.0.2.7", 587),
        ("localhost", "localhost", None),
        ("[::1]", "::1", None),
        ("[2001:DB8::1]:25", "2001:db8::1", 25),
        ("smtp://mail.example.com:25/", "mail.example.com", 25),
        ("bücher.example", "xn--bcher-kva.example", None),
    ],
)
def test_a_host_with_or_without_a_port(typed: str, host: str, port: int | None) -> None:
    assert address(typed, USAGE) == (host, port)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("mail.example.com:0", "“0” cannot be a port: use 1 to 65535."),
        ("mail.example.com:65536", "“65536” cannot be a port"),
        ("mail.example.com:", "cannot be a port"),
        ("mail.example.com:smtp", "“smtp” cannot be a port"),
        ("[::1]:99999", "“99999” cannot be a port"),
        ("::1", r"Put an IPv6 address in brackets, as \[::1\]"),
        ("[::g]", "“::g” is no IPv6 address"),
        ("mail_server", "cannot be the name or address of a host"),
        ("-mail.example.com", "cannot be the name or address of a host"),
        ("mail..example.com", "cannot be the name or address of a host"),
        ("300.1.2.3", "cannot be the name or address of a host"),
        ("user@mail.example.com", "cannot be the name or address of a host"),
        ("mail.example.com/path", "cannot be the name or address of a host"),
        (f"{'a' * 64}.example.com", "cannot be the name or address of a host"),
        (":25", "cannot be the name or address of a host"),
    ],
)
def test_an_impossible_address_is_refused_with_what_is_wrong(typed: str, sentence: str) -> None:
    with pytest.raises(BadInputError, match=sentence) as refused:
        address(typed, USAGE)
    assert USAGE in str(refused.value)


# Buttons


def test_a_button_carries_a_number_and_a_decision_its_hash() -> None:
    assert pressed("5") == 5
    assert pressed("5:abc") == 5
    assert decided("5:abc") == (5, "abc")


@pytest.mark.parametrize("value", ["", "five", ":abc", "5x"])
def test_a_button_of_another_version_is_refused(value: str) -> None:
    with pytest.raises(BadInputError, match="belongs to another version"):
        pressed(value)


@pytest.mark.parametrize("value", ["5", "5:"])
def test_a_decision_without_what_was_seen_is_refused(value: str) -> None:
    with pytest.raises(BadInputError, match="does not say what it decides on"):
        decided(value)


# Whatever comes

_READERS: Sequence[Callable[[str], object]] = [
    split,
    tidy,
    shown,
    decided,
    CAMPAIGN.find,
    CAMPAIGN.help,
    lambda text: address(text, USAGE),
    lambda text: Words(text, USAGE).text("it"),
    lambda text: Words(text, USAGE).number("it"),
]


@given(st.sampled_from(_READERS), st.text(max_size=200))
def test_any_text_is_taken_or_refused_with_a_sentence(read: Callable[[str], object], text: str) -> None:
    with suppress(BadInputError):
        read(text)


@given(st.text(max_size=100))
def test_reading_word_by_word_always_comes_to_an_end(text: str) -> None:
    words = Words(text, USAGE)
    for _ in range(len(text) + 1):
        words.maybe()
    assert words.left == ""
