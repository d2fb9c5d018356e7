"""When a send goes on, waits and stops: by figures alone."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.config import RampSettings
from bot.services.ramping import Begin, Rest, Seen, Standing, Stop, advance, judge, sizes

NIGHT = datetime(2026, 5, 4, 3, 12, tzinfo=UTC)
STAGES = (1, 5, 25, 100)
LIMITS = RampSettings()
WELL = Seen(tried=10_000)


def standing(stage: int = 0, due_at: datetime | None = None, *, is_out: bool = True, total: int = 1_000) -> Standing:
    return Standing(STAGES, stage, due_at, sizes(total, STAGES), is_out)


def test_a_stage_that_is_out_waits_and_then_the_next_begins() -> None:
    half_an_hour = NIGHT + timedelta(minutes=30)
    assert advance(standing(is_out=False), WELL, LIMITS, NIGHT) is None
    assert advance(standing(), WELL, LIMITS, NIGHT) == Rest(half_an_hour)
    assert advance(standing(due_at=half_an_hour), WELL, LIMITS, NIGHT) is None
    assert advance(standing(due_at=half_an_hour), WELL, LIMITS, half_an_hour) == Begin(1)
    assert advance(standing(3), WELL, LIMITS, NIGHT) is None
    assert advance(standing(), WELL, RampSettings(wait=0), NIGHT) == Begin(1)


def test_a_stage_that_lets_nothing_more_out_is_left_out() -> None:
    assert sizes(20, STAGES) == [1, 1, 5, 20]
    assert standing(total=20).following == 2
    assert standing(total=1).following is None


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (Seen(1_000, bounced=61), "61 of 1,000 were refused as unknown addresses (6.1 %, the limit is 5 %)"),
        (Seen(10_000, bounced=501), "501 of 10,000 were refused as unknown addresses (5.01 %, the limit is 5 %)"),
        (Seen(200, complaints=1), "1 of 200 was complained about (0.5 %, the limit is 0.3 %)"),
        (Seen(500, refused=60), "60 of 500 were refused, not for their addresses (12.0 %, the limit is 10 %)"),
        (Seen(500, temporary=150), "150 of 500 were put off by the server (30.0 %, the limit is 20 %)"),
    ],
)
def test_it_stops_and_says_why(seen: Seen, why: str) -> None:
    stop = judge(seen, LIMITS)
    assert isinstance(stop, Stop)
    assert stop.why == why
    assert advance(standing(due_at=NIGHT), seen, LIMITS, NIGHT) == stop


@pytest.mark.parametrize(
    "seen",
    [
        Seen(3, bounced=1),
        Seen(199, bounced=199),
        Seen(1_000, bounced=50),
        Seen(1_000, temporary=900, refused=100, server_in_trouble=True),
    ],
)
def test_few_messages_and_a_server_in_trouble_stop_nothing(seen: Seen) -> None:
    assert judge(seen, LIMITS) is None
