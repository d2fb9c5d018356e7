"""A TCP proxy that spoils the line to any server, whatever it speaks, and can be changed while it runs.

    async with FaultProxy("127.0.0.1", relay.port) as proxy:
        proxy.delay = timedelta(milliseconds=20)   # round trip
        proxy.cut_after(2000, "up")                # in the middle of a message
        proxy.drop_replies_after_dot()             # the server takes it, the sender never hears
        proxy.cut_each(map(Cut, range(2000)))      # one connection after the other, each an octet later

Faults hold for the connections that are open and for new ones, until `heal()`.
"""

import asyncio
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Literal, NamedTuple, Self

Direction = Literal["up", "down"]
_CHUNK = 64 * 1024
_QUEUE = 64
_DOT = b"\r\n.\r\n"
_LAST_CHUNK = re.compile(rb"\nBDAT \d{1,10} LAST\r\n|\ABDAT \d{1,10} LAST\r\n")
_TAIL = 24


class Cut(NamedTuple):
    """The end of a connection once exactly so many octets went in that direction: by RST, or in good order by FIN."""

    octets: int
    direction: Direction = "up"
    reset: bool = True


class FaultProxy:
    """Up is from the client to the server. `delay` is the time added to a round trip, half in each direction."""

    def __init__(self, host: str, port: int, *, listen_on: str = "127.0.0.1") -> None:
        self.target = (host, port)
        self.host = listen_on
        self.port = 0
        self.delay = timedelta(0)
        self.limits: dict[Direction, Cut] = {}
        self.deaf_after_dot = False
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.octets: dict[Direction, int] = {"up": 0, "down": 0}
        self._cuts: Iterator[Cut] = iter(())
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
        self.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server:
            await self._server.wait_closed()

    def cut_after(self, octets: int, direction: Direction = "up", *, reset: bool = True) -> None:
        """Lets exactly so many octets of each connection through in this direction, then ends it at both ends."""
        self.limits[direction] = Cut(octets, direction, reset)

    def cut_each(self, cuts: Iterable[Cut]) -> None:
        """Each new connection takes the next of these; when there are none left, connections are honest."""
        self._cuts = iter(cuts)

    def stall(self) -> None:
        """Nothing passes any more, and every connection stays open; `heal()` lets the rest through."""
        self.flowing.clear()

    def drop_replies_after_dot(self) -> None:
        """Once a final dot, or a last chunk, went up, nothing comes down on that connection: the gap of RFC 1047.

        Only for a line in the clear: in TLS the dot is not seen.
        """
        self.deaf_after_dot = True

    def reset(self) -> None:
        """Resets both ends of every open connection, now."""
        for link in list(self._links):
            link.reset()

    def heal(self) -> None:
        """An honest line from now on, without delay."""
        self.delay = timedelta(0)
        self.limits.clear()
        self._cuts = iter(())
        self.deaf_after_dot = False
        self.flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            _reset(writer)
            return
        link = _Link(self, writer, far_writer, next(self._cuts, None))
        self._links.add(link)
        try:
            await link.run(reader, far_reader)
        finally:
            self._links.discard(link)


class _Link:
    """One connection through the proxy: two directions, each a reader, a queue and a writer."""

    def __init__(
        self, proxy: FaultProxy, near: asyncio.StreamWriter, far: asyncio.StreamWriter, cut: Cut | None
    ) -> None:
        self._proxy = proxy
        self._cut = cut
        self._near = near
        self._far = far
        self._tail = b""
        self._dot_went_up = False
        self._passed: dict[Direction, int] = {"up": 0, "down": 0}
        self._pumps: list[asyncio.Task[None]] = []

    async def run(self, near: asyncio.StreamReader, far: asyncio.StreamReader) -> None:
        up: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUE)
        down: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUE)
        self._pumps = [
            asyncio.create_task(pump)
            for pump in (
                self._take(near, up),
                self._give(up, self._far, "up"),
                self._take(far, down),
                self._give(down, self._near, "down"),
            )
        ]
        try:
            await asyncio.gather(*self._pumps, return_exceptions=True)
        finally:
            for pump in self._pumps:
                pump.cancel()
            for writer in (self._near, self._far):
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    def reset(self) -> None:
        _reset(self._near)
        _reset(self._far)
        self._stop()

    def _stop(self) -> None:
        """Nothing more passes; both ends are closed when what passed has left."""
        for pump in self._pumps:
            pump.cancel()

    async def _take(self, reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Stamps each piece with the time at which it may go on; an empty piece is the end."""
        now = asyncio.get_running_loop().time
        while True:
            try:
                piece = await reader.read(_CHUNK)
            except OSError:
                self.reset()
                return
            await queue.put((now() + self._proxy.delay.total_seconds() / 2, piece))
            if not piece:
                return

    async def _give(
        self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        now = asyncio.get_running_loop().time
        while True:
            due, piece = await queue.get()
            if due > now():
                await asyncio.sleep(due - now())
            await self._proxy.flowing.wait()
            if not piece:
                # The other direction may still have something to say.
                with suppress(OSError, NotImplementedError):
                    writer.write_eof()
                return
            if direction == "up":
                self._watch(piece)
            elif self._proxy.deaf_after_dot and self._dot_went_up:
                continue
            if not await self._pass(piece, writer, direction):
                return

    async def _pass(self, piece: bytes, writer: asyncio.StreamWriter, direction: Direction) -> bool:
        cut = self._cut if self._cut and self._cut.direction == direction else self._proxy.limits.get(direction)
        allowed = piece if cut is None else piece[: max(0, cut.octets - self._passed[direction])]
        self._passed[direction] += len(allowed)
        self._proxy.octets[direction] += len(allowed)
        try:
            writer.write(allowed)
            await writer.drain()
        except OSError:
            self.reset()
            return False
        if cut is not None and self._passed[direction] >= cut.octets:
            if cut.reset:
                self.reset()
            else:
                self._stop()
            return False
        return True

    def _watch(self, piece: bytes) -> None:
        seen = self._tail + piece
        # What is announced behind the dot in the same piece counts as after it.
        if self._proxy.deaf_after_dot and (_DOT in seen or _LAST_CHUNK.search(seen)):
            self._dot_went_up = True
        self._tail = seen[-_TAIL:]


def _reset(writer: asyncio.StreamWriter) -> None:
    if not writer.transport.is_closing():
        plain = writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
