"""A relay in its own process: broken over its control line, killed, started again on the same port."""

import asyncio
import socket
import sys
from asyncio.subprocess import PIPE
from datetime import timedelta
from pathlib import Path

import aiosmtplib
import pytest

from bot.demo.relays import RelayProcess, cut, reply
from tests.certificates import Certificate


async def send(relay: RelayProcess, recipient: str) -> None:
    await aiosmtplib.send(
        f"Message-ID: <{recipient}>\r\n\r\nhi\r\n".encode(),
        sender="news@example.com",
        recipients=[recipient],
        hostname="127.0.0.1",
        port=relay.port,
    )


async def test_it_keeps_port_and_truth_through_a_kill(tmp_path: Path) -> None:
    async with RelayProcess(tmp_path / "truth", name="primary") as relay:
        port = relay.port
        await send(relay, "ana@example.com")
        await relay.wait_for(1)

        await relay.kill()

        assert not relay.running
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with pytest.raises(ConnectionError, match="primary is not running"):
            await relay.heal()

        await relay.restart()
        assert relay.port == port
        await send(relay, "bo@example.com")
        await relay.wait_for(2)
    assert [line.recipients for line in relay.received()] == [("ana@example.com",), ("bo@example.com",)]


async def test_it_is_broken_and_healed_over_its_control_line(tmp_path: Path) -> None:
    async with RelayProcess(tmp_path / "truth") as relay:
        await relay.behave(reply("mail", 452, "4.3.1 Insufficient system storage"))
        with pytest.raises(aiosmtplib.SMTPException, match="Insufficient system storage"):
            await send(relay, "ana@example.com")
        await relay.behave(cut("dot", accepted=True))
        with pytest.raises(aiosmtplib.SMTPServerDisconnected):
            await send(relay, "ana@example.com")
        await relay.heal()
        await send(relay, "bo@example.com")
    assert len(relay.received()) == 2


async def test_it_says_how_many_messages_came_in_time(tmp_path: Path) -> None:
    async with RelayProcess(tmp_path / "truth") as relay:
        with pytest.raises(TimeoutError, match="took 0 of 1 messages"):
            await relay.wait_for(1, within=timedelta(milliseconds=10))


async def test_it_fails_what_waits_when_it_is_killed(tmp_path: Path) -> None:
    async with RelayProcess(tmp_path / "truth") as relay:
        waiting = asyncio.create_task(relay.wait_for(1))
        await relay.heal()
        await relay.kill()
        with pytest.raises(ConnectionError):
            await waiting


async def test_it_takes_certificates_and_a_login(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "localhost")
    log = tmp_path / "truth"
    async with RelayProcess(log, certificate=certificate.path, login=("holdfast", "s3cret")) as relay:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=relay.port, tls_context=certificate.client())
        async with client:
            await client.login("holdfast", "s3cret")
            await client.sendmail("a@example.com", ["b@example.com"], b"Subject: hi\r\n\r\nhi\r\n")
        await relay.wait_for(1)


async def test_it_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    orphaning = (
        "import asyncio, os, pathlib, sys\n"
        "from bot.demo.relays import RelayProcess\n"
        "async def main():\n"
        "    relay = RelayProcess(pathlib.Path(sys.argv[1]))\n"
        "    await relay.start()\n"
        "    print(relay.port, flush=True)\n"
        "    os._exit(9)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", orphaning, str(tmp_path / "truth"), stdout=PIPE, stderr=PIPE
    )
    # The relay shares its parent's stderr, so this returns only when both have ended.
    port, _ = await parent.communicate()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()
