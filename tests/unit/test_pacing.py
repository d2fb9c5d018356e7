"""The pace of a provider: half of what it was after each rebuff, and free again when it takes everything."""

import pytest

from bot.config import ProviderSettings
from bot.mail.pacing import FIRST_REST, LEAST, LONGEST_REST, Pace, Paces, is_too_much

WHY = "450 4.7.28 too many messages"


def test_providers_are_known_by_their_domains() -> None:
    paces = Paces({"mail.example": ProviderSettings(domains=["One.example", "two.example"])})

    assert paces.provider("anna@googlemail.com") == "gmail.com"
    assert paces.provider("anna@one.example") == paces.provider("bob@two.example") == "mail.example"
    assert paces.provider("anna@three.example") == "three.example"


def test_without_limits_nothing_is_looked_up() -> None:
    paces = Paces()

    assert paces.of("anna@gmail.com") is None
    assert paces.next_at() is None


def test_a_rate_is_kept_over_all_messages() -> None:
    pace = Paces({"slow": ProviderSettings(domains=["slow.example"], rate_per_second=10)}).of("a@slow.example")
    assert pace is not None

    sent = []
    for tick in range(1_000):
        at = 100 + tick / 100
        if pace.may_send(at):
            pace.sent(at)
            sent.append(at)

    assert 99 <= len(sent) <= 101
    assert max(sum(start <= at < start + 1 for at in sent) for start in sent) <= 11


def test_no_more_than_so_many_are_under_way_at_once() -> None:
    pace = Pace(connections=2)

    pace.sent(1)
    pace.sent(1)
    assert not pace.may_send(1)
    pace.ended()
    assert pace.may_send(1)


def test_a_rebuff_gives_a_rest_and_half_the_pace() -> None:
    pace = Pace()

    pace.put_off(100, flow=40, why=WHY)
    pace.put_off(100.5, flow=40, why=WHY)  # the answer to what was on its way
    assert (pace.rate, pace.why) == (20, WHY)
    assert not pace.may_send(100 + FIRST_REST - 0.1)
    assert pace.may_send(100 + FIRST_REST)

    pace.put_off(106, flow=20, why=WHY)
    assert pace.rate == 10
    assert not pace.may_send(106 + 2 * FIRST_REST - 0.1)


def test_it_never_stands_still_and_never_rests_for_ever() -> None:
    pace, at = Pace(), 0.0
    for _ in range(50):
        pace.put_off(at, flow=0, why=WHY)
        assert pace.next_at - at <= LONGEST_REST
        at = pace.next_at
    assert pace.rate == LEAST


def test_it_grows_while_everything_is_taken_until_it_is_free() -> None:
    paces = Paces()
    pace = paces.put_off("a@slow.example", 0, 40, WHY)
    at, rates = pace.next_at, []
    while pace.is_learned and at < 3_600:
        if pace.may_send(at):
            pace.sent(at)
            pace.ended()
            pace.took(at)
            rates.append(pace.rate or 0)
        at += 0.05

    assert rates == [*sorted(rates[:-1]), 0]
    assert max(rates) < 160
    assert paces.forget(0) == ["slow.example"]
    assert paces.of("a@slow.example") is None


def test_a_learned_pace_returns_to_what_the_settings_allow() -> None:
    paces = Paces({"slow": ProviderSettings(domains=["slow.example"], rate_per_second=30)})
    pace = paces.put_off("a@slow.example", 0, 30, WHY)
    assert pace.rate == 15

    at = pace.next_at
    while pace.is_learned and at < 3_600:
        pace.took(at)
        at += 1

    assert pace.rate == 30
    assert paces.forget(0) == []


@pytest.mark.parametrize(
    ("reply", "asks"),
    [
        ("421 4.7.28 Our system has detected an unusual rate of mail", True),
        ("451 4.7.500 Server busy. Please try again later", True),
        ("421 4.7.0 [TSS04] Messages temporarily deferred due to unexpected volume", True),
        ("450 4.7.1 Too many messages from your network", True),
        ("450 4.7.1 <a@b.example>: Recipient address rejected: Greylisted", False),
        ("451 4.7.1 Please try again in 300 seconds", False),
    ],
)
def test_only_what_speaks_of_our_pace_slows_us_down(reply: str, asks: bool) -> None:
    assert is_too_much(reply) is asks
