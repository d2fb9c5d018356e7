"""The fault proxy between a sender and a relay that is in order."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import aiosmtplib
import pytest

from bot.demo.faultproxy import FaultProxy
from bot.demo.relays import Relay

MESSAGE = b"EHLO me\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nSubject: hi\r\n\r\nhi\r\n.\r\n"


@asynccontextmanager
async def line_to(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def send(port: int) -> None:
    await aiosmtplib.send(
        b"Subject: hi\r\n\r\nhi\r\n",
        sender="a@example.com",
        recipients=["b@example.com"],
        hostname="127.0.0.1",
        port=port,
    )


async def test_it_passes_everything_when_nothing_is_wrong() -> None:
    async with Relay() as relay, FaultProxy("127.0.0.1", relay.port) as proxy:
        await send(proxy.port)
        assert relay.count == 1
        assert proxy.octets["up"] > 0
        assert proxy.octets["down"] > 0


async def test_it_cuts_after_so_many_octets_and_is_healed() -> None:
    async with Relay() as relay, FaultProxy("127.0.0.1", relay.port) as proxy:
        proxy.cut_after(len(MESSAGE) - 5, "up")
        async with line_to(proxy.port) as (reader, writer):
            writer.write(MESSAGE)
            with pytest.raises(ConnectionResetError):
                await reader.read()
        assert proxy.octets["up"] == len(MESSAGE) - 5
        assert relay.count == 0

        proxy.heal()
        await send(proxy.port)
        assert relay.count == 1


async def test_it_cuts_an_answer_in_half() -> None:
    async with Relay() as relay, FaultProxy("127.0.0.1", relay.port) as proxy:
        proxy.cut_after(6, "down")
        async with line_to(proxy.port) as (reader, _):
            assert await reader.readexactly(6) == b"220 re"
            with pytest.raises(ConnectionResetError):
                await reader.read()


async def test_it_drops_the_answer_to_the_final_dot() -> None:
    async with Relay() as relay, FaultProxy("127.0.0.1", relay.port) as proxy:
        proxy.drop_replies_after_dot()
        async with line_to(proxy.port) as (reader, writer):
            writer.write(MESSAGE[:-3])
            assert b"354" in await reader.readuntil(b"<LF>\r\n")
            writer.write(MESSAGE[-3:])
            await relay.wait_for(1)
            await relay.disconnect(reset=False)
            assert await reader.read() == b""


async def test_it_stalls_and_lets_the_rest_through_later() -> None:
    async with (
        Relay() as relay,
        FaultProxy("127.0.0.1", relay.port) as proxy,
        line_to(proxy.port) as (reader, writer),
    ):
        await reader.readline()
        proxy.stall()
        writer.write(MESSAGE)
        with pytest.raises(TimeoutError):
            await relay.wait_for(1, within=timedelta(seconds=0.1))
        proxy.heal()
        await relay.wait_for(1)


async def test_it_adds_half_the_delay_in_each_direction() -> None:
    async with (
        Relay() as relay,
        FaultProxy("127.0.0.1", relay.port) as proxy,
        line_to(proxy.port) as (reader, writer),
    ):
        await reader.readline()
        proxy.delay = timedelta(milliseconds=100)
        clock = asyncio.get_running_loop().time
        began = clock()
        writer.write(b"NOOP\r\n")
        await reader.readline()
        assert clock() - began >= 0.1


async def test_it_resets_every_connection_at_once() -> None:
    async with (
        Relay() as relay,
        FaultProxy("127.0.0.1", relay.port) as proxy,
        line_to(proxy.port) as (reader, _),
    ):
        await reader.readline()
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_it_resets_whoever_comes_when_the_server_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    async with FaultProxy("127.0.0.1", port) as proxy, line_to(proxy.port) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read()
