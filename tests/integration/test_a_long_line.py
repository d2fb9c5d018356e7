"""The proxy by which benches measure what a round trip costs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.bench.line import line


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    under_way: set[asyncio.Task[None] | None] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.add(asyncio.current_task())
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*(task for task in under_way if task is not None))


async def test_an_answer_takes_a_round_trip_at_least() -> None:
    clock = asyncio.get_running_loop().time
    async with echoing() as port, line(port, timedelta(milliseconds=10)) as far:
        reader, writer = await asyncio.open_connection("127.0.0.1", far)
        for _ in range(5):
            begun = clock()
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            assert clock() - begun >= 0.019  # libuv's clock counts whole milliseconds
        writer.close()
        assert await reader.read() == b""
        await writer.wait_closed()


async def test_many_connections_keep_their_words_apart_and_in_order() -> None:
    async def talk(far: int, name: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", far)
        said = b"".join(b"%d %d\n" % (name, n) for n in range(20_000))
        writer.write(said)
        assert await reader.readexactly(len(said)) == said
        writer.close()
        await writer.wait_closed()

    async with echoing() as port, line(port, timedelta(milliseconds=1)) as far, asyncio.TaskGroup() as talks:
        for name in range(20):
            talks.create_task(talk(far, name))


async def test_a_server_that_hangs_up_is_noticed_at_the_other_end() -> None:
    async def goodbye(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"421 goodbye\r\n")
        writer.close()
        await writer.wait_closed()

    async with (
        await asyncio.start_server(goodbye, "127.0.0.1", 0) as server,
        line(server.sockets[0].getsockname()[1]) as far,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", far)
        assert await reader.read() == b"421 goodbye\r\n"
        writer.close()
        await writer.wait_closed()
