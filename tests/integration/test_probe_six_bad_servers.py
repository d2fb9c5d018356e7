"""The six servers on which no other monitor is right throughout, and a peer that is not ours.

Three monitors were run against them: each waits out its time limit, loses the reply, accepts what it must
not, or reports a failure that is none, in at least one.
"""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from uvloop import new_event_loop

from bot.demo.relays import Profile, Relay, cut, hang, refuse, reply
from bot.monitor.probe import Limits, Probe, Reason, Target, probe
from tests.certificates import Certificate

SMTP_SINK = shutil.which("smtp-sink", path="/usr/sbin:/usr/bin:/usr/local/sbin")


async def look(relay: Relay, limits: Limits | None = None) -> Probe:
    return await probe(Target(host="127.0.0.1", port=relay.port), limits)


async def test_a_greeting_of_421_on_a_connection_held_open_is_seen_at_once() -> None:
    async with Relay() as relay:
        await relay.behave(reply("greeting", 421, "4.3.2 busy"))
        # With no limit in reach, only a probe that stops at the reply comes back.
        seen = await look(relay, Limits(greeting=timedelta(hours=1)))
    assert (seen.stage, seen.code, seen.enhanced, seen.text) == ("greeting", 421, "4.3.2", "busy")


async def test_a_greeting_of_554_and_a_closed_connection_keeps_its_code() -> None:
    async with Relay() as relay:
        await relay.behave(reply("greeting", 554, "5.7.1 Your address is listed", close=True))
        seen = await look(relay)
    assert (seen.stage, seen.reason, seen.code) == ("greeting", Reason.REPLY, 554)
    assert seen.sentence == f"554 5.7.1 Your address is listed at greeting from 127.0.0.1:{relay.port}"


async def test_a_refused_connection_has_its_reason() -> None:
    async with Relay() as relay:
        await relay.behave(refuse())
        seen = await look(relay)
    assert (seen.stage, seen.reason) == ("connect", Reason.REFUSED)


async def test_starttls_as_the_last_line_of_ehlo_is_no_failure(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "localhost")
    async with Relay(Profile(tls=certificate.server())) as relay:
        seen = await probe(Target(host="127.0.0.1", port=relay.port, tls="starttls", context=certificate.client()))
    assert seen.ok


async def test_a_self_signed_certificate_is_not_accepted(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "localhost")
    async with Relay(Profile(tls=certificate.server())) as relay:
        seen = await probe(Target(host="127.0.0.1", port=relay.port, tls="starttls"))
    assert (seen.stage, seen.reason) == ("starttls", Reason.CERTIFICATE_SELF_SIGNED)
    assert seen.sentence == f"certificate of 127.0.0.1:{relay.port} is self-signed"


async def test_a_silent_server_is_given_up_at_the_limit() -> None:
    async with Relay() as relay:
        await relay.behave(hang("greeting"))
        seen = await look(relay, Limits(greeting=timedelta(milliseconds=100)))
    assert (seen.stage, seen.reason) == ("greeting", Reason.TIMEOUT)
    assert seen.sentence == f"no greeting from 127.0.0.1:{relay.port} within 0.1 s"


def test_it_sees_the_same_on_uvloop(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "localhost")

    async def story() -> list[Probe]:
        async with Relay(Profile(tls=certificate.server())) as relay:
            trusting = Target(host="127.0.0.1", port=relay.port, tls="starttls", context=certificate.client())
            seen = [await probe(trusting), await probe(Target(host="127.0.0.1", port=relay.port, tls="starttls"))]
            for fault in (reply("ehlo", 421, "4.3.2 busy"), cut("ehlo", reset=True), refuse()):
                await relay.behave(fault)
                seen.append(await probe(trusting))
            return seen

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        seen = runner.run(story())
    assert [one.reason for one in seen] == [
        None,
        Reason.CERTIFICATE_SELF_SIGNED,
        Reason.REPLY,
        Reason.RESET,
        Reason.REFUSED,
    ]


@asynccontextmanager
async def smtp_sink(*options: str) -> AsyncIterator[int]:
    """Postfix's test server with these faults."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [SMTP_SINK or "smtp-sink", *as_nobody, *options, f"127.0.0.1:{port}", "20"]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        async with asyncio.timeout(10):
            while (await probe(Target(host="127.0.0.1", port=port))).reason is Reason.REFUSED:
                await asyncio.sleep(0.02)
        yield port
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.skipif(SMTP_SINK is None, reason="Postfix's smtp-sink is not installed")
@pytest.mark.parametrize(
    ("options", "stage", "code"),
    [
        ((), None, None),
        (("-r", "CONNECT", "-b", "421 4.3.2 busy"), "greeting", 421),
        (("-r", "MAIL", "-b", "452 4.3.1 full"), "mail", 452),
        (("-f", "RCPT", "-B", "550 5.1.1 no"), "rcpt", 550),
        (("-q", "EHLO"), "ehlo", None),
    ],
)
async def test_it_agrees_with_postfix_about_what_failed(
    options: tuple[str, ...], stage: str | None, code: int | None
) -> None:
    async with smtp_sink(*options) as port:
        seen = await probe(Target(host="127.0.0.1", port=port, probe_from="a@example.com", probe_to="b@example.com"))
    assert (seen.stage, seen.code) == (stage, code)
