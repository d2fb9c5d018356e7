"""Times and durations as people type them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import BadInputError
from bot.services.when import lasting, parse_duration, parse_when

SATURDAY = datetime(2026, 3, 28, 14, 0, tzinfo=UTC)
"""15:00 in Madrid, on the day before the clocks go forward there."""


def madrid(text: str, now: datetime = SATURDAY) -> datetime:
    return parse_when(text, "Europe/Madrid", now)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("16:30", datetime(2026, 3, 28, 15, 30, tzinfo=UTC)),
        ("at 16:30", datetime(2026, 3, 28, 15, 30, tzinfo=UTC)),
        ("14:30", datetime(2026, 3, 29, 12, 30, tzinfo=UTC)),
        ("4 pm", datetime(2026, 3, 28, 15, 0, tzinfo=UTC)),
        ("tonight 23:00", datetime(2026, 3, 28, 22, 0, tzinfo=UTC)),
        ("monday 02:00", datetime(2026, 3, 30, 0, 0, tzinfo=UTC)),
        ("saturday 14:00", datetime(2026, 4, 4, 12, 0, tzinfo=UTC)),
        ("tomorrow at 9am", datetime(2026, 3, 29, 7, 0, tzinfo=UTC)),
        ("day after tomorrow 02:00", datetime(2026, 3, 30, 0, 0, tzinfo=UTC)),
        ("tomorrow noon", datetime(2026, 3, 29, 10, 0, tzinfo=UTC)),
        ("30 march 02:00", datetime(2026, 3, 30, 0, 0, tzinfo=UTC)),
        ("2 January 02:00", datetime(2027, 1, 2, 1, 0, tzinfo=UTC)),
        ("2026-03-30 02:00", datetime(2026, 3, 30, 0, 0, tzinfo=UTC)),
        ("2026-03-30T02:00", datetime(2026, 3, 30, 0, 0, tzinfo=UTC)),
        ("now", SATURDAY),
    ],
)
def test_it_reads_a_time_on_the_persons_own_clock(typed: str, meant: datetime) -> None:
    assert madrid(typed) == meant
    assert madrid(typed).tzinfo is UTC


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("16:30 UTC", datetime(2026, 3, 28, 16, 30, tzinfo=UTC)),
        ("13:30 utc", datetime(2026, 3, 29, 13, 30, tzinfo=UTC)),
        ("2026-03-30T02:00Z", datetime(2026, 3, 30, 2, 0, tzinfo=UTC)),
        ("tomorrow 02:30 America/New_York", datetime(2026, 3, 29, 6, 30, tzinfo=UTC)),
    ],
)
def test_a_zone_at_the_end_overrides_theirs(typed: str, meant: datetime) -> None:
    assert madrid(typed) == meant


@pytest.mark.parametrize("typed", ["in 30 min", "30 minutes from now", "+30m", "in half an hour", "30 min"])
def test_it_counts_from_now(typed: str) -> None:
    assert madrid(typed) == SATURDAY + timedelta(minutes=30)


def test_it_counts_true_hours_over_a_change_of_the_clocks() -> None:
    before = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    assert madrid("in 2 hours", before) == before + timedelta(hours=2)


def test_it_refuses_an_hour_that_the_clocks_skip() -> None:
    with pytest.raises(BadInputError, match=r"never comes.*Write 01:30 or 03:30") as refused:
        madrid("tomorrow 02:30")
    assert "Europe/Madrid" in str(refused.value)


def test_it_refuses_an_hour_that_comes_twice_and_offers_both() -> None:
    october = datetime(2026, 10, 24, 14, 0, tzinfo=UTC)
    with pytest.raises(BadInputError, match=r"comes twice.*2026-10-25 00:30 UTC or 2026-10-25 01:30 UTC"):
        madrid("tomorrow 02:30", october)
    assert madrid("2026-10-25 01:30 UTC", october) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert madrid("tomorrow 03:30", october) == datetime(2026, 10, 25, 2, 30, tzinfo=UTC)


@pytest.mark.parametrize("typed", ["01/02 14:00", "1-2 14:00", "01/02/2026 14:00", "1.2.2026 14:00", "01-02-26 14:00"])
def test_it_refuses_a_date_that_is_two_dates(typed: str) -> None:
    with pytest.raises(BadInputError, match="two dates"):
        madrid(typed)


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("", "There is no time"),
        ("   ", "There is no time"),
        ("tomorrow", "no clock time"),
        ("may", "no clock time"),
        ("1430", "no clock time"),
        ("12", "no clock time"),
        ("soon", '"soon" is no word of a time'),
        ("tomorrow 02:00 if it rains", '"if" is no word of a time'),
        ("02:00 CET", '"cet" is no word of a time'),
        ("25:00", "not a time I understand"),
        ("31 february 02:00", "not a time I understand"),
        ("02:00 to 04:00", "two times"),
        ("today 14:00", "has gone by"),
        ("2020-03-30 02:00", "has gone by"),
        ("2040-03-30 02:00", "more than a year away"),
        ("in two shakes", "not a duration"),
        ("02:00+02:00", "offset"),
        ("02:00 Europe/Atlantis", "time zone"),
        ("x" * 200, "too long"),
    ],
)
def test_it_says_why_it_cannot_take_a_time(typed: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        madrid(typed)


@pytest.mark.parametrize(
    ("typed", "length"),
    [
        ("2h", timedelta(hours=2)),
        ("90 min", timedelta(minutes=90)),
        ("1h 30m", timedelta(minutes=90)),
        ("1h30", timedelta(minutes=90)),
        ("1h30min", timedelta(minutes=90)),
        ("1.5 hours", timedelta(minutes=90)),
        ("an hour and a half", timedelta(minutes=90)),
        ("half an hour", timedelta(minutes=30)),
        ("two hours", timedelta(hours=2)),
        ("2 hours, 5 minutes", timedelta(minutes=125)),
        ("2d", timedelta(days=2)),
    ],
)
def test_it_reads_a_duration(typed: str, length: timedelta) -> None:
    assert parse_duration(typed) == length


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("", "There is no duration"),
        ("2", "not a duration"),
        ("two", "not a duration"),
        ("2h foo", "not a duration"),
        ("foo", "not a duration"),
        ("1:30", "not a duration"),
        ("-2h", "not a duration"),
        ("1e3 h", "not a duration"),
        ("0h", "no time at all"),
        ("400 days", "longer than a year"),
        ("999999999999h", "longer than a year"),
    ],
)
def test_it_says_why_it_cannot_take_a_duration(typed: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        parse_duration(typed)


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(seconds=-3), "0 s"),
        (timedelta(seconds=45), "45 s"),
        (timedelta(minutes=12, seconds=40), "12 min"),
        (timedelta(hours=3, minutes=20), "3 h 20 min"),
        (timedelta(hours=3), "3 h"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=2, hours=3, minutes=5), "2 days 3 h"),
    ],
)
def test_it_says_how_long_something_lasted(length: timedelta, said: str) -> None:
    assert lasting(length) == said


def refused(parse: Callable[[str], object], typed: str) -> str:
    try:
        return f"taken as {parse(typed)}"
    except BadInputError as error:
        return str(error)


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_whatever_is_typed_ends_in_a_result_or_a_sentence(typed: str) -> None:
    assert refused(madrid, typed)
    assert refused(parse_duration, typed)


@given(st.from_regex(r"(in |\+)?[0-9 ]{1,4}[:. /-]?[0-9a-z ]{0,8}( UTC| [A-Za-z/_]{1,8})?", fullmatch=True))
@settings(max_examples=300, deadline=None)
def test_nothing_that_looks_like_a_time_breaks_it(typed: str) -> None:
    assert refused(madrid, typed)
    assert refused(parse_duration, typed)


@pytest.mark.parametrize("typed", ["inf", "INF", "nan", "IÑF", "infinity", "1 inf", "inf h"])
def test_an_endless_length_is_refused_in_a_sentence(typed: str) -> None:
    with pytest.raises(BadInputError, match="not a duration I understand"):
        parse_duration(typed)
