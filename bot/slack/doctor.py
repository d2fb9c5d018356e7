"""`/holdfast doctor` and `holdfast check`: one list of checks, looked at all at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from bot.config import Settings
from bot.services.checking import Finding, check_house
from bot.services.checking_running import check_running
from bot.services.dkim_check import check_dkim
from bot.services.paging_check import check_paging
from bot.slack.checking import check_slack

Check = Callable[[Settings], Awaitable[list[Finding]]]
"""Looks at one part and says in sentences how it is. It changes nothing, and trouble is a finding, no error."""

CHECKS: tuple[Check, ...] = (check_slack, check_house, check_running, check_dkim, check_paging)
"""A new check is a line here."""
PATIENCE = timedelta(seconds=45)
"""A probe of a silent server takes about half of it."""


async def examine(settings: Settings, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """What all checks found, in their order."""
    found = await asyncio.gather(*(_in_time(check, settings) for check in checks))
    return [finding for findings in found for finding in findings]


async def _in_time(check: Check, settings: Settings) -> list[Finding]:
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            return await check(settings)
    except TimeoutError:
        what = getattr(check, "__name__", "check").removeprefix("check_")
        sentence = f"It did not answer within {PATIENCE.total_seconds():.0f} s. Look at the machine's load and network."
        return [Finding(what, ok=False, sentence=sentence)]
