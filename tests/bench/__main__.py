"""`python -m tests.bench [NAME...] [--json]`: every benchmark, or those that are named."""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.bench import ack, kill, latency, memory, outbox, pause, peers, plan, send, workers

BENCHES: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
    "ack": ack.run,
    "kill": kill.run,
    "latency": latency.run,
    "memory": memory.run,
    "outbox": outbox.run,
    "pause": pause.run,
    "peers": peers.run,
    "plan": plan.run,
    "send": send.run,
    "workers": workers.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHES)}; all unless given")
    parser.add_argument("--json", action="store_true", help="one JSON object with all figures")
    given = parser.parse_args()
    unknown = set(given.names) - set(BENCHES)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    figures = {name: asyncio.run(_run(name)) for name in given.names or BENCHES}
    print(json.dumps(figures) if given.json else _table(figures))


async def _run(name: str) -> dict[str, Any]:
    return await BENCHES[name]()


def _table(figures: dict[str, dict[str, Any]]) -> str:
    lines = [f"{name:8} {key:20} {value}" for name, found in figures.items() for key, value in found.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
