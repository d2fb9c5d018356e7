"""A relay in this process."""

import asyncio
import socket
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from bot.demo.relays.desk import Desk, Profile
from bot.demo.relays.faults import Fault
from bot.demo.relays.session import Session
from bot.demo.relays.truth import Received
from bot.errors import BotError

_BACKLOG = 1024


def hold_port(host: str, port: int) -> socket.socket:
    """A socket that is bound and never listens: connections are refused, and nobody else gets the port.

    Another socket of the same user may listen there meanwhile (SO_REUSEPORT). Raises BotError when the port
    is taken.
    """
    holder = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((host, port))
    except OSError as error:
        holder.close()
        raise BotError(
            f"The relay cannot use port {port} of {host}: {error.strerror}. Choose another port, or 0 for any free one."
        ) from error
    return holder


class Relay:
    """A real SMTP server whose behaviour can be changed while it runs.

    The port stays the same through refusals and healing. `messages` is what was taken since the start, in
    order; with `log` every message is also a line of that file, written before its 250.
    """

    def __init__(
        self,
        profile: Profile | None = None,
        *,
        log: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.profile = profile or Profile()
        self.host = host
        self.port = port
        self._log = log
        self._desk = Desk(self.profile, None)
        self._holder: socket.socket | None = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        self._holder = hold_port(self.host, self.port)
        self.port = self._holder.getsockname()[1]
        self._desk = Desk(self.profile, self._log)
        await self._listen()

    async def stop(self) -> None:
        await self._refuse()
        self._desk.close()
        if self._holder:
            self._holder.close()
            self._holder = None

    async def behave(self, *faults: Fault) -> None:
        """Puts these faults in force instead of the present ones; sessions already hanging stay so."""
        self._desk.faults.arm(faults)
        for fault in faults:
            if fault.at_once:
                for guest in list(self._desk.guests):
                    guest.dismiss(fault.code, fault.text)
        if any(fault.action == "refuse" for fault in faults):
            await self._refuse()
        else:
            await self._listen()

    async def heal(self) -> None:
        """Behaves well from now on, on the same port."""
        await self.behave()

    async def disconnect(self, *, reset: bool = True) -> None:
        """Ends every open connection; new ones are served."""
        for guest in list(self._desk.guests):
            guest.abort(reset=reset)
        await asyncio.sleep(0)

    async def wait_for(self, count: int, within: timedelta = timedelta(seconds=30)) -> None:
        """Returns once `count` messages were taken, those of an older life in the log included.

        Raises TimeoutError, which says how many came.
        """
        try:
            await self._desk.until(lambda: self.count >= count, within)
        except TimeoutError:
            name = self.profile.name
            raise TimeoutError(f"{name} took {self.count} of {count} messages in {within}") from None

    async def wait_for_connections(self, count: int, within: timedelta = timedelta(seconds=30)) -> None:
        """Returns once exactly `count` connections are open; raises TimeoutError."""
        await self._desk.until(lambda: self.connections == count, within)

    @property
    def messages(self) -> list[Received]:
        return self._desk.messages

    @property
    def count(self) -> int:
        """Messages taken, those of an older life in the log included."""
        return self._desk.count

    @property
    def connections(self) -> int:
        return len(self._desk.guests)

    async def _listen(self) -> None:
        if self._server:
            return
        listener = hold_port(self.host, self.port)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Session(self._desk), sock=listener, backlog=_BACKLOG)

    async def _refuse(self) -> None:
        server, self._server = self._server, None
        if server:
            server.close()
        await self.disconnect()
        if server:
            await server.wait_closed()
            for _ in range(2):  # who was being let in at that moment is a guest only now
                await self.disconnect()
