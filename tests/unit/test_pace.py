"""A refused message costs no turn: Slack did not take it, so the next may leave as soon as Slack allows."""

import asyncio
from datetime import timedelta

import pytest

from bot.slack.pace import Pace

HARDLY_EVER = 1e-6
"""Turns a second: whoever waits for one waits for days."""


async def test_a_turn_that_slack_refused_is_given_back() -> None:
    pace = Pace(burst=1, per_second=HARDLY_EVER)
    await pace.turn()

    pace.refused(timedelta())

    async with asyncio.timeout(5):
        await pace.turn()


async def test_a_turn_that_was_used_is_not() -> None:
    pace = Pace(burst=1, per_second=HARDLY_EVER)
    await pace.turn()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await pace.turn()


async def test_refusals_make_no_burst_larger() -> None:
    pace = Pace(burst=2, per_second=HARDLY_EVER)
    for _ in range(5):
        pace.refused(timedelta())
    await pace.turn()
    await pace.turn()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await pace.turn()


async def test_nothing_leaves_before_slack_allows_it() -> None:
    pace = Pace(burst=4, per_second=1000)
    began = asyncio.get_running_loop().time()

    pace.refused(timedelta(seconds=0.2))
    await pace.turn()

    assert asyncio.get_running_loop().time() - began >= 0.2
