"""Messages a second over a line with 20 ms of round trip, beside `smtp-source -d` on the same connections."""

from typing import Any

from tests.bench.line import line
from tests.bench.sending import staged, with_smtp_source
from tests.bench.sink import sink

RECIPIENTS = 20_000
SOURCE_MESSAGES = 4_000
CONNECTIONS = 50


async def run() -> dict[str, Any]:
    """`ratio` of ours to smtp-source, measured before and after."""
    async with sink() as (name, near), line(near) as port, staged(port, RECIPIENTS, CONNECTIONS) as stage:
        before = await with_smtp_source(port, SOURCE_MESSAGES, CONNECTIONS)
        ours = (await stage.run()).rate
        after = await with_smtp_source(port, SOURCE_MESSAGES, CONNECTIONS)
    theirs = (before + after) / 2
    return {
        "sink": name,
        "connections": CONNECTIONS,
        "rate": round(ours),
        "smtp_source": round(theirs),
        "ratio": round(ours / theirs, 2),
    }
