"""One open, greeted, encrypted and authenticated session with a mail server, ready for messages.

aiosmtplib does everything up to the first message, a stage at a time, so that what failed can be
named; `bot.mail.wire` does the messages.
"""

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, Self, cast

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol
from pydantic import SecretStr

from bot.mail.replies import Reply, Stage
from bot.mail.transaction import Features, Limits, Result, Wants, clean
from bot.mail.wire import Feed, Wire

# After these the password has not been judged, so another method is no second guess at it.
_TRY_ANOTHER_METHOD: Final = frozenset({500, 501, 502, 503, 504, 534})

Encryption = Literal["none", "starttls", "tls"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to connect. `tls`: in the clear, by STARTTLS (required), or from the first byte.

    `context` defaults to the system's certificates; `helo` to this machine's full name.
    """

    host: str
    port: int = 25
    tls: Encryption = "none"
    username: str | None = None
    password: SecretStr | None = None
    context: ssl.SSLContext | None = None
    helo: str | None = None


class Lost(Exception):  # noqa: N818 - what happened to the connection; it is never shown to people by itself
    """No session came about: the stage that failed, the server's reply there, if any, and why in a sentence."""

    def __init__(self, stage: Stage, reply: Reply | None, text: str) -> None:
        super().__init__(text)
        self.stage = stage
        self.reply = reply
        self.text = text


class Connection:
    """A session that carries messages. How many it carries in all is its owner's affair."""

    def __init__(self, wire: Wire, features: Features, limits: Limits) -> None:
        self.features = features
        self._wire = wire
        self._limits = limits

    @classmethod
    async def open(cls, endpoint: Endpoint, limits: Limits | None = None) -> Self:
        """Connect and log in; each stage has its own limit. Raises Lost, and leaves no socket behind."""
        limits = limits or Limits()
        opening = _Opening(endpoint, limits)
        try:
            wire, features = await opening.run()
        except BaseException:
            opening.client.close()
            raise
        return cls(wire, features, limits)

    @property
    def is_open(self) -> bool:
        """False once either side has hung up; then open another."""
        return self._wire.is_open

    @property
    def why_closed(self) -> str:
        """A sentence, empty while open."""
        return self._wire.why_closed

    @property
    def is_idle(self) -> bool:
        """Whether no message is under way."""
        return self._wire.is_idle

    @property
    def wants(self) -> Wants:
        """In which form bodies are wanted: those that go by BDAT as they are, the others dot-stuffed."""
        return Wants(stuffed=not self._wire.plain, eight_bit=self.features.eight_bit)

    @property
    def under_way(self) -> tuple[Any, ...]:
        """The messages whose end, or only whose envelope, has left and that have no ending yet."""
        return self._wire.under_way

    def carry(self, feed: Feed) -> None:
        """From now on send what `feed` has, until it or the server ends it. Raises RuntimeError while one is sent."""
        self._wire.feed(feed)

    def go(self) -> None:
        """The feed may have a message again."""
        self._wire.go()

    async def send(self, sender: str, recipient: str, body: bytes, *, before_dot: Callable[[], bool]) -> Result:
        """Send one message and say exactly how it ended; network trouble is a Result, never raised.

        `body`: CRLF lines, dot-stuffed, ending with CRLF (ValueError otherwise). `before_dot` is called
        synchronously right before the write that holds the final dot; it must not raise. When it
        returns False nothing of the dot is written, the session is closed or reset and the result is `withheld`.

        After a refusal the session goes on (`is_open`). Cancelling a send aborts the connection and
        loses the result, so a caller that needs it calls `abort()` instead, which ends the send at once.
        """
        if not body.endswith(b"\r\n") or b"\r\n.\r\n" in body or body.startswith(b".\r\n"):
            raise ValueError("the body must end with CRLF and be dot-stuffed")
        single = _Single(sender, recipient, _unstuffed(body) if self._wire.plain else body, before_dot)
        self._wire.feed(single)
        if not self._wire.is_open:
            return Result(Stage.mail, None, sent=False, text=self.why_closed or "The connection is closing.")
        try:
            return await single.result
        except asyncio.CancelledError:
            self._wire.abort("The sending was cancelled.")
            raise

    async def close(self) -> None:
        """Say QUIT and hang up, within `limits.quit`. A message under way is aborted."""
        await self._wire.quit(self._limits.quit)

    async def wait_closed(self) -> None:
        """Until the socket is gone, by either side."""
        await self._wire.wait_closed()

    def abort(self) -> None:
        """Hang up at once; a pending send ends with what is known of it."""
        self._wire.abort()


class _Single:
    """A feed of one message, which is the message too."""

    def __init__(self, sender: str, recipient: str, body: bytes, before_dot: Callable[[], bool]) -> None:
        self.sender = sender
        self.recipient = recipient
        self.body = body
        self.result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._before_dot = before_dot
        self._taken = False

    def next(self, *, ahead: bool) -> Self | None:  # noqa: ARG002  the signature is a feed's
        taken, self._taken = self._taken, True
        return None if taken else self

    def may_leave(self, _message: object) -> bool:
        return self._before_dot()

    def delivered(self, _message: object) -> None:
        raise AssertionError("nothing follows a single message, so its reply comes alone")

    def ended(self, _message: object, result: Result) -> None:
        if not self.result.done():
            self.result.set_result(result)

    def closed(self) -> None:
        """Its message has ended by then."""


def _unstuffed(body: bytes) -> bytes:
    return body.removeprefix(b".").replace(b"\r\n.", b"\r\n")


class _Client(aiosmtplib.SMTP):
    """Hangs up at once: over TLS a mere close would wait for a server that may have fallen silent."""

    def close(self) -> None:
        transport = cast("asyncio.Transport | None", self.transport)
        super().close()
        if transport is not None:
            transport.abort()


class _Opening:
    """The stages before the first message; remembers the present one so that a failure can name it."""

    def __init__(self, endpoint: Endpoint, limits: Limits) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self.stage = Stage.dns
        self.limit = limits.dns
        self.client = _Client()

    def enter(self, stage: Stage, limit: timedelta) -> float:
        self.stage, self.limit = stage, limit
        return limit.total_seconds()

    async def run(self) -> tuple[Wire, Features]:
        try:
            await self._prepare()
            await self._connect(await self._resolve())
            if self.endpoint.tls == "tls":
                await self._encrypt()
            await self._greet()
            await self._ehlo()
            if self.endpoint.tls == "starttls":
                await self._starttls()
                await self._ehlo()
            if self.endpoint.username is not None:
                await self._login(self.endpoint.username, self.endpoint.password or SecretStr(""))
            return self._take_over()
        except aiosmtplib.SMTPResponseException as error:
            raise self._refused(error) from error
        except TimeoutError as error:
            raise self._lost(f"did not answer within {self.limit.total_seconds():g} s") from error
        except (OSError, aiosmtplib.SMTPException) as error:
            raise self._lost(_reason(error)) from error

    async def _prepare(self) -> None:
        endpoint = self.endpoint
        if endpoint.tls != "none":
            self.client.tls_context = endpoint.context or await asyncio.to_thread(_system_context)
        self.client.local_hostname = endpoint.helo or await asyncio.to_thread(_own_name)

    async def _resolve(self) -> list[tuple[str, int]]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.enter(Stage.dns, self.limits.dns)):
                found = await loop.getaddrinfo(self.endpoint.host, self.endpoint.port, type=socket.SOCK_STREAM)
        except UnicodeError as error:  # an empty or overlong label
            raise socket.gaierror(str(error)) from error
        return [(str(address[0]), int(address[1])) for *_, address in found]

    async def _connect(self, addresses: list[tuple[str, int]]) -> None:
        """One address after the other. Not by aiosmtplib, which connects, encrypts and greets in one breath:
        its failures do not tell which it was, and cancelling it can leave a socket behind.
        """
        loop = asyncio.get_running_loop()
        failure: OSError = OSError("has no address")
        for host, port in addresses:
            try:
                async with asyncio.timeout(self.enter(Stage.connect, self.limits.connect)):
                    transport, protocol = await loop.create_connection(SMTPProtocol, host, port)
            except OSError as error:
                failure = error
            else:
                self.client.protocol, self.client.transport = protocol, transport
                return
        raise failure

    async def _encrypt(self) -> None:
        """TLS from the first byte, before the greeting."""
        client, protocol = self.client, cast("SMTPProtocol", self.client.protocol)
        limit = self.enter(Stage.starttls, self.limits.starttls)
        async with asyncio.timeout(limit):
            protocol.transport = client.transport = await asyncio.get_running_loop().start_tls(
                cast("asyncio.WriteTransport", client.transport),
                protocol,
                cast("ssl.SSLContext", client.tls_context),
                server_hostname=self.endpoint.host,
            )
        if client.transport is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")

    async def _greet(self) -> None:
        protocol = cast("SMTPProtocol", self.client.protocol)
        reply = await protocol.read_response(timeout=self.enter(Stage.greeting, self.limits.greeting))
        if reply.code != 220:
            raise aiosmtplib.SMTPConnectResponseError(reply.code, reply.message)

    async def _ehlo(self) -> None:
        limit = self.enter(Stage.ehlo, self.limits.ehlo)
        try:
            await self.client.ehlo(timeout=limit)
        except aiosmtplib.SMTPHeloError as error:
            if not 500 <= error.code <= 504:
                raise
            await self.client.helo(timeout=limit)

    async def _starttls(self) -> None:
        limit = self.enter(Stage.starttls, self.limits.starttls)
        if not self.client.supports_extension("starttls"):
            raise aiosmtplib.SMTPNotSupported("does not offer STARTTLS")
        await self.client.starttls(server_hostname=self.endpoint.host, timeout=limit)

    async def _login(self, username: str, password: SecretStr) -> None:
        """Try the methods that both sides know, but never guess a refused password twice: that locks accounts."""
        limit = self.enter(Stage.auth, self.limits.auth)
        client = self.client
        methods = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
        if self.endpoint.tls == "none":
            methods = dict(reversed(methods.items()))
        refusal: aiosmtplib.SMTPException = aiosmtplib.SMTPNotSupported(
            "offers no way to log in that we know (PLAIN, LOGIN, CRAM-MD5)"
        )
        for name, method in methods.items():
            if name not in client.server_auth_methods:
                continue
            try:
                await method(username, password.get_secret_value(), timeout=limit)
            except aiosmtplib.SMTPAuthenticationError as error:
                if error.code not in _TRY_ANOTHER_METHOD:
                    raise
                refusal = error
            else:
                return
        raise refusal

    def _take_over(self) -> tuple[Wire, Features]:
        """Hand the socket from aiosmtplib to a Wire, with what it had already read. No await in between."""
        client, protocol = self.client, self.client.protocol
        # uvloop's transports are no subclasses of asyncio's, they only behave alike.
        transport = cast("asyncio.Transport | None", client.transport)
        if protocol is None or transport is None or transport.is_closing():
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        leftover = bytes(protocol._buffer)  # noqa: SLF001 - there is no public word for what it read too far
        features = _features(client)
        return Wire(transport, features, self.limits, leftover), features

    def _refused(self, error: aiosmtplib.SMTPResponseException) -> Lost:
        text = clean(error.message)
        if not 200 <= error.code <= 599:
            return self._lost(f"answered what is not SMTP ({text})")
        return self._lost(f"answered {error.code} {text}", Reply(error.code, text))

    def _lost(self, what: str, reply: Reply | None = None) -> Lost:
        return Lost(self.stage, reply, f"{self.endpoint.host}:{self.endpoint.port} {what} at {self.stage}.")


def _reason(error: Exception) -> str:
    """Why, as the rest of a sentence that begins with the server's name."""
    match error:
        case socket.gaierror():
            return "cannot be found in the DNS"
        case ssl.SSLCertVerificationError():
            return f"shows a certificate that cannot be trusted ({clean(error.verify_message)})"
        case ssl.SSLError():
            return f"failed the TLS handshake ({clean(str(error))})"
        case ConnectionRefusedError():
            return "refused the connection"
        case aiosmtplib.SMTPNotSupported():
            return error.message
        case ConnectionError():
            return "closed the connection"
        case OSError():
            return f"cannot be reached ({clean(error.strerror or str(error))})"
        case _:
            return f"failed ({clean(str(error))})"


def _features(client: aiosmtplib.SMTP) -> Features:
    extensions = client.esmtp_extensions
    size = extensions.get("size")
    return Features(
        pipelining="pipelining" in extensions,
        eight_bit="8bitmime" in extensions,
        smtputf8="smtputf8" in extensions,
        size=None if size is None else int(size) if size.isdecimal() else 0,
        chunking="chunking" in extensions,
    )


@functools.cache
def _system_context() -> ssl.SSLContext:
    return ssl.create_default_context()


@functools.cache
def _own_name() -> str:
    return socket.getfqdn()
