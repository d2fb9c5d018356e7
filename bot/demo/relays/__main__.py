"""`python -m bot.demo.relays --port 2525 --log truth.jsonl`: the child side of RelayProcess."""

import argparse
import asyncio
import json
import os
import ssl
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvloop

from bot.demo.relays.desk import Profile
from bot.demo.relays.faults import faults_from_json
from bot.demo.relays.relay import Relay
from bot.errors import BotError


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bot.demo.relays", description="An SMTP relay to break.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True, help="the truth log, one JSON line a message")
    parser.add_argument("--name", default="relay")
    parser.add_argument("--no-pipelining", action="store_true")
    parser.add_argument("--certificate", type=Path, help="PEM file; switches STARTTLS on")
    parser.add_argument("--key", type=Path, help="PEM file, when the key is not in the certificate's file")
    parser.add_argument("--expired", type=Path, help="PEM file with key, shown when its expiry is the fault")
    parser.add_argument("--login", metavar="USER:PASSWORD", help="switches AUTH on")
    return parser.parse_args(words)


def _profile(options: argparse.Namespace) -> Profile:
    user, _, password = (options.login or "").partition(":")
    return Profile(
        name=options.name,
        pipelining=not options.no_pipelining,
        tls=_context(options.certificate, options.key),
        expired_tls=_context(options.expired),
        credentials={user: password} if user else {},
        keep_messages=False,
    )


def _context(certificate: Path | None, key: Path | None = None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


async def _serve(options: argparse.Namespace) -> None:
    async with Relay(_profile(options), log=options.log, host=options.host, port=options.port) as relay:
        commands = asyncio.StreamReader(limit=1 << 20)
        loop = asyncio.get_running_loop()
        pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(_obey(relay, json.loads(line))) async for line in commands]
            for task in running:
                task.cancel()
        pipe.close()


async def _obey(relay: Relay, command: dict[str, Any]) -> None:
    answer: dict[str, Any] = {"number": command["number"], "port": relay.port, "count": relay.count}
    match command["do"]:
        case "behave":
            await relay.behave(*faults_from_json(command["faults"]))
        case "wait_for":
            try:
                await relay.wait_for(command["count"], timedelta(seconds=command["seconds"]))
            except TimeoutError as late:
                answer["late"] = str(late)
    # An answer is shorter than a pipe's buffer, and written whole.
    os.write(sys.stdout.fileno(), json.dumps(answer).encode() + b"\n")


def main(words: Sequence[str] | None = None) -> int:
    try:
        uvloop.run(_serve(_arguments(words)))
    except BotError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
