"""Messages a second, end to end with the ledger on SQLite, in one process, to Postfix's smtp-sink.

`ratio` is to `smtp-source -d -s50`, a client in C without a ledger, measured before and after in the same run because
the machine's speed drifts. `cpu_us`: what the sending process, ledger and database included, takes of the processor
for a message.
"""

from typing import Any

from tests.bench.sending import staged, with_smtp_source
from tests.bench.sink import sink

RECIPIENTS = 200_000
SOURCE_MESSAGES = 60_000
CONNECTIONS = 50


async def run() -> dict[str, Any]:
    """Messages a second of both, their ratio, and the CPU time of ours."""
    async with sink() as (name, port), staged(port, RECIPIENTS, CONNECTIONS) as stage:
        before = await with_smtp_source(port, SOURCE_MESSAGES, CONNECTIONS)
        ours = await stage.run()
        after = await with_smtp_source(port, SOURCE_MESSAGES, CONNECTIONS)
    theirs = (before + after) / 2
    return {
        "sink": name,
        "rate": round(ours.rate),
        "smtp_source": round(theirs),
        "ratio": round(ours.rate / theirs, 2),
        "cpu_us": round(ours.cpu_us, 1),
    }
