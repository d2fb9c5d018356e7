"""Receiving providers that put us off and are written to more slowly: for whoever asks why it takes so long."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from bot.mail.pacing import KEEP
from storage import paces
from storage.db import Tx
from storage.models import ProviderPace


@dataclass(frozen=True)
class SlowedProvider:
    """A provider and how fast it is written to through one server, by all workers together."""

    name: str
    rate: float
    """Messages a second."""
    workers: int
    since: datetime
    """When it put us off first."""
    put_off_at: datetime
    """When it put us off last."""
    rests_until: datetime
    """Until then it gets nothing at all."""
    reply: str
    """What it said then."""


async def slowed(tx: Tx, server_id: int, at: datetime) -> tuple[SlowedProvider, ...]:
    """Those of one server, by name. Of several workers the rates are added up: that is what the provider sees."""
    rows = await paces.of_server(tx, server_id, at - KEEP)
    return tuple(_together(name, list(group)) for name, group in groupby(rows, lambda row: row.provider))


def _together(name: str, rows: Sequence[ProviderPace]) -> SlowedProvider:
    last = max(rows, key=lambda row: row.put_off_at)
    return SlowedProvider(
        name=name,
        rate=sum(row.rate for row in rows),
        workers=len(rows),
        since=min(row.since for row in rows),
        put_off_at=last.put_off_at,
        rests_until=min(row.rests_until for row in rows),
        reply=last.reason,
    )


def speed(rate: float) -> str:
    """`12 a second`, `1.5 a second`, or `1 in 5 s`."""
    if rate < 1:
        return f"1 in {1 / rate:.0f} s"
    return f"{rate:,.0f} a second" if rate >= 10 else f"{rate:.2g} a second"
