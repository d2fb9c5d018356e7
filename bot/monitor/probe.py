"""One look at a mail server, stage by stage, as a sender would see it. Nothing is mailed.

seen = await probe(Target(host="mail.example.com", port=587, tls="starttls"))
seen.ok, seen.stage, seen.code, seen.sentence
"""

import asyncio
import base64
import errno
import functools
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import SecretStr

from bot.clock import now
from bot.errors import BadInputError
from bot.monitor.conversation import Answer, Conversation, ReplyError
from bot.monitor.reasons import NotOfferedError, Reason, RefusedError, Stage, reason_of, sentence_of

__all__ = ["Limits", "Probe", "Reason", "Stage", "Target", "probe"]

_ADDRESSES = 4
_RESOLVERS = 16

_Addresses = list[tuple[socket.AddressFamily, str]]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long each stage may take. The greeting has more: Postfix's postscreen waits 6 s on purpose."""

    dns: timedelta = timedelta(seconds=5)
    connect: timedelta = timedelta(seconds=5)
    greeting: timedelta = timedelta(seconds=10)
    ehlo: timedelta = timedelta(seconds=5)
    starttls: timedelta = timedelta(seconds=5)
    auth: timedelta = timedelta(seconds=10)
    mail: timedelta = timedelta(seconds=10)
    rcpt: timedelta = timedelta(seconds=10)
    quit: timedelta = timedelta(seconds=1)

    def of(self, stage: Stage) -> timedelta:
        limit: timedelta = getattr(self, stage.value)
        return limit


@dataclass(frozen=True, kw_only=True)
class Target:
    """A server to look at.

    AUTH is tried when there is a username, MAIL and RCPT when there is `probe_from` and `probe_to`. `context`
    replaces the system's authorities, for a company's own. Raises BadInputError for a name that cannot be one.
    """

    host: str
    port: int = 25
    tls: Literal["none", "starttls", "tls"] = "none"
    username: str | None = None
    password: SecretStr | None = None
    context: ssl.SSLContext | None = None
    helo: str = field(default_factory=lambda: socket.gethostname() or "localhost")
    probe_from: str | None = None
    probe_to: str | None = None

    def __post_init__(self) -> None:
        for what, word in (
            ("host", self.host),
            ("name for EHLO", self.helo),
            ("sender of the probe", self.probe_from or "-"),
            ("recipient of the probe", self.probe_to or "-"),
        ):
            if not word or any(sign in "<>" or sign.isspace() or not sign.isprintable() for sign in word):
                raise BadInputError(
                    f"The server's {what} is {word!r}, which cannot be a name. Give it without spaces or signs."
                )

    @property
    def place(self) -> str:
        """Host and port, as people write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What was seen. `timings` are milliseconds by stage; `stage` and `reason` are None when all is well.

    `code`, `enhanced` and `text` are the reply that ended it. `deep` says that MAIL and RCPT were accepted.
    """

    ok: bool
    at: datetime
    sentence: str
    stage: Stage | None = None
    reason: Reason | None = None
    code: int | None = None
    enhanced: str | None = None
    text: str = ""
    timings: Mapping[Stage, float] = field(default_factory=dict)
    deep: bool = False
    certificate_expires: datetime | None = None

    @property
    def milliseconds(self) -> float:
        return sum(self.timings.values())


async def probe(target: Target, limits: Limits | None = None) -> Probe:
    """Looks once. Trouble on the line is a result, never an exception; the socket is always closed."""
    run = _Run(target, limits or Limits())
    try:
        await run.through_all_stages()
    except (RefusedError, NotOfferedError, ReplyError, OSError, UnicodeError) as error:
        return run.failed(error)
    finally:
        run.conversation.abort()
        # The event loop closes an aborted socket in its next round.
        await asyncio.sleep(0)
    return run.passed()


class _Run:
    def __init__(self, target: Target, limits: Limits) -> None:
        self.conversation = Conversation()
        self._target = target
        self._limits = limits
        self._at = now()
        self._stage = Stage.DNS
        self._timings: dict[Stage, float] = {}
        self._offers: dict[str, str] = {}
        self._deep = False
        self._expires: datetime | None = None

    async def through_all_stages(self) -> None:
        target = self._target
        await self._connect()
        if target.tls == "tls":
            await self._encrypt()
        async with self._during(Stage.GREETING):
            await self._accepted()
        await self._ehlo()
        if target.tls == "starttls":
            await self._starttls()
            await self._ehlo()
        if target.username is not None:
            async with self._during(Stage.AUTH):
                await self._authenticate()
        if target.probe_from is not None:
            await self._envelope(target.probe_from)
        await self._quit()

    def passed(self) -> Probe:
        took = sum(self._timings.values())
        return Probe(
            ok=True,
            at=self._at,
            sentence=f"{self._target.place} passed every stage in {took:.0f} ms",
            timings=self._timings,
            deep=self._deep,
            certificate_expires=self._expires,
        )

    def failed(self, error: Exception) -> Probe:
        answer = error.answer if isinstance(error, RefusedError) else None
        return Probe(
            ok=False,
            at=self._at,
            stage=self._stage,
            reason=reason_of(error),
            code=answer.code if answer else None,
            enhanced=answer.enhanced if answer else None,
            text=self._safe(answer.text) if answer else "",
            sentence=self._safe(sentence_of(error, self._stage, self._target.place, self._limits.of(self._stage))),
            timings=self._timings,
            certificate_expires=self._expires,
        )

    # Stages

    @asynccontextmanager
    async def _during(self, stage: Stage) -> AsyncIterator[None]:
        self._stage = stage
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._limits.of(stage).total_seconds()):
                yield
        finally:
            self._timings[stage] = self._timings.get(stage, 0.0) + (clock() - began) * 1000

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._during(Stage.DNS):
            addresses = _as_it_stands(self._target.host)
            if not addresses:
                addresses = await loop.run_in_executor(_resolvers(), _looked_up, self._target.host)
        async with self._during(Stage.CONNECT):
            await self._first_of(addresses)

    async def _first_of(self, addresses: _Addresses) -> None:
        """Gives each address an equal share of the time, so that one black hole does not hide the next."""
        loop = asyncio.get_running_loop()
        share = self._limits.connect.total_seconds() / len(addresses)
        last: OSError = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        for family, address in addresses:
            try:
                async with asyncio.timeout(share):
                    await loop.create_connection(lambda: self.conversation, address, self._target.port, family=family)
            except OSError as error:
                last = error
            else:
                return
        raise last

    async def _ehlo(self) -> None:
        async with self._during(Stage.EHLO):
            answer = await self._command(f"EHLO {self._target.helo}")
        offers = (line.upper().replace("AUTH=", "AUTH ").partition(" ") for line in answer.lines[1:])
        self._offers = {word: details for word, _, details in offers}

    async def _starttls(self) -> None:
        async with self._during(Stage.STARTTLS):
            # The password must not go out in the clear when somebody strips the offer.
            if "STARTTLS" not in self._offers:
                raise NotOfferedError("STARTTLS")
            await self._command("STARTTLS")
        await self._encrypt()

    async def _encrypt(self) -> None:
        context = self._target.context
        if context is None:
            context = await asyncio.to_thread(_authorities)
        async with self._during(Stage.STARTTLS):
            line = await self.conversation.encrypt(context, self._target.host)
        expires = (line.getpeercert() or {}).get("notAfter")
        if isinstance(expires, str):
            self._expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(expires), UTC)

    async def _authenticate(self) -> None:
        mechanisms = self._offers.get("AUTH", "").split()
        user = (self._target.username or "").encode()
        password = self._password.encode()
        if "PLAIN" in mechanisms:
            secret = _base64(b"\0".join((b"", user, password)))
            await self._command(f"AUTH PLAIN {secret}")
        elif "LOGIN" in mechanisms:
            await self._command("AUTH LOGIN", expected=334)
            await self._command(_base64(user), expected=334)
            await self._command(_base64(password))
        else:
            raise NotOfferedError("AUTH PLAIN or LOGIN")

    async def _envelope(self, sender: str) -> None:
        addresses = f"{sender}{self._target.probe_to or ''}"
        utf8 = "" if addresses.isascii() or "SMTPUTF8" not in self._offers else " SMTPUTF8"
        async with self._during(Stage.MAIL):
            await self._command(f"MAIL FROM:<{sender}>{utf8}")
        if self._target.probe_to:
            async with self._during(Stage.RCPT):
                await self._command(f"RCPT TO:<{self._target.probe_to}>")
            self._deep = True

    async def _quit(self) -> None:
        """Leaves politely. The server has shown that it works, so a failure here is no failure."""
        try:
            async with self._during(Stage.QUIT):
                if self._target.probe_from is not None:
                    await self._command("RSET")
                await self._command("QUIT")
        except (RefusedError, ReplyError, OSError):
            return

    async def _command(self, line: str, *, expected: int | None = None) -> Answer:
        self.conversation.write(line.encode())
        return await self._accepted(expected)

    async def _accepted(self, expected: int | None = None) -> Answer:
        answer = await self.conversation.answer()
        if answer.code != expected if expected else answer.code // 100 != 2:
            raise RefusedError(answer)
        return answer

    # Words

    @property
    def _password(self) -> str:
        return self._target.password.get_secret_value() if self._target.password else ""

    def _safe(self, text: str) -> str:
        """Some servers repeat what they were told; a password must not reach a channel that way."""
        password = self._password
        if not password:
            return text
        user = self._target.username or ""
        for secret in (f"\0{user}\0{password}", password):
            text = text.replace(_base64(secret.encode()), "***")
        return text.replace(password, "***")


def _looked_up(host: str, flags: int = 0) -> _Addresses:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    return [(family, str(address[0])) for family, _, _, _, address in found[:_ADDRESSES]]


def _as_it_stands(host: str) -> _Addresses:
    """The address, when the host is one already: it must not queue behind names that DNS does not answer."""
    try:
        return _looked_up(host, socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        return []


@functools.cache
def _resolvers() -> ThreadPoolExecutor:
    """Threads of their own, for a lookup blocks its thread long after the probe has given it up."""
    return ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="dns")


def _base64(secret: bytes) -> str:
    return base64.b64encode(secret).decode()


@functools.cache
def _authorities() -> ssl.SSLContext:
    """The system's authorities, read once: it takes milliseconds."""
    return ssl.create_default_context()
