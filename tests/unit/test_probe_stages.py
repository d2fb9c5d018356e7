"""The probe against a real server that fails at one stage after the other."""

import asyncio
import socket
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.clock import now
from bot.demo.faultproxy import FaultProxy
from bot.demo.relays import Profile, Relay, Stage, cut, endless, garbage, goodbye, hang, refuse, reply, slow
from bot.errors import BadInputError
from bot.monitor import probe as probing
from bot.monitor.probe import Limits, Probe, Reason, Target, probe
from tests.certificates import Certificate

SHORT = timedelta(milliseconds=150)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate(tmp_path, "localhost")


@pytest.fixture
def full(certificate: Certificate) -> Profile:
    """A relay that offers everything a probe can try."""
    return Profile(tls=certificate.server(), credentials={"holdfast": "s3cret"})


def target(relay: Relay, certificate: Certificate, **changes: object) -> Target:
    everything = {
        "host": "127.0.0.1",
        "port": relay.port,
        "tls": "starttls",
        "username": "holdfast",
        "password": SecretStr("s3cret"),
        "context": certificate.client(),
        "probe_from": "probe@example.com",
        "probe_to": "probe@example.com",
    }
    return Target(**{**everything, **changes})  # type: ignore[arg-type]  # any field may be changed


async def look(relay: Relay, **changes: object) -> Probe:
    return await probe(Target(host="127.0.0.1", port=relay.port, **changes), Limits(quit=SHORT))  # type: ignore[arg-type]  # as above


async def test_it_passes_every_stage_and_says_how_long_each_took(full: Profile, certificate: Certificate) -> None:
    async with Relay(full) as relay:
        seen = await probe(target(relay, certificate))
        assert relay.connections == 0
        assert relay.messages == []
    assert seen.ok
    assert seen.deep
    assert (seen.stage, seen.reason, seen.code) == (None, None, None)
    assert list(seen.timings) == [
        "dns",
        "connect",
        "greeting",
        "ehlo",
        "starttls",
        "auth",
        "mail",
        "rcpt",
        "quit",
    ]
    assert all(milliseconds >= 0 for milliseconds in seen.timings.values())
    assert seen.certificate_expires is not None
    assert timedelta(days=29) < seen.certificate_expires - now() < timedelta(days=31)
    assert f"127.0.0.1:{relay.port} passed every stage in" in seen.sentence


async def test_it_looks_no_further_than_it_was_told() -> None:
    async with Relay() as relay:
        seen = await look(relay)
    assert list(seen.timings) == ["dns", "connect", "greeting", "ehlo", "quit"]
    assert not seen.deep


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt"])
async def test_it_reports_the_stage_that_failed_and_its_reply(
    stage: Stage, full: Profile, certificate: Certificate
) -> None:
    async with Relay(full) as relay:
        await relay.behave(reply(stage, 451, "4.3.5 Configuration error\n4.3.5 Call somebody"))
        seen = await probe(target(relay, certificate))
    assert not seen.ok
    assert (seen.stage, seen.reason) == (stage, Reason.REPLY)
    assert (seen.code, seen.enhanced, seen.text) == (451, "4.3.5", "Configuration error Call somebody")
    assert seen.sentence.startswith("451 4.3.5 Configuration error Call somebody at ")
    assert list(seen.timings)[-1] == stage


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt"])
async def test_it_waits_for_a_silent_stage_no_longer_than_its_limit(
    stage: Stage, full: Profile, certificate: Certificate
) -> None:
    async with Relay(full) as relay:
        await relay.behave(hang(stage))
        seen = await probe(target(relay, certificate), replace(Limits(), **{stage: SHORT}))
    assert (seen.stage, seen.reason) == (stage, Reason.TIMEOUT)
    assert seen.sentence.endswith(f"127.0.0.1:{relay.port} within 0.15 s")


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt"])
@pytest.mark.parametrize(("reset", "reason"), [(False, Reason.CLOSED), (True, Reason.RESET)])
async def test_it_sees_that_the_connection_ended(
    stage: Stage, reset: bool, reason: Reason, full: Profile, certificate: Certificate
) -> None:
    async with Relay(full) as relay:
        await relay.behave(cut(stage, reset=reset))
        seen = await probe(target(relay, certificate))
    assert (seen.stage, seen.reason) == (stage, reason)


async def test_it_forgives_a_server_that_does_not_say_goodbye() -> None:
    async with Relay() as relay:
        await relay.behave(hang("quit"))
        assert (await look(relay)).ok
        await relay.behave(reply("quit", 500, "5.5.2 What"))
        assert (await look(relay)).ok
        await relay.behave(cut("quit", reset=True))
        assert (await look(relay)).ok


async def test_it_says_that_the_connection_was_refused() -> None:
    async with Relay() as relay:
        await relay.behave(refuse())
        seen = await look(relay)
    assert seen.sentence == f"connection refused at connect to 127.0.0.1:{relay.port}"
    assert (seen.stage, seen.reason) == ("connect", Reason.REFUSED)


async def test_it_tries_the_next_address_of_a_name() -> None:
    async with Relay() as relay:
        seen = await probe(Target(host="localhost", port=relay.port))
    assert seen.ok


async def test_it_says_that_a_name_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = await probe(Target(host=f"{'a' * 64}.example"))
    assert (seen.stage, seen.reason) == ("dns", Reason.NOT_FOUND)

    for code, reason in ((socket.EAI_NONAME, Reason.NOT_FOUND), (socket.EAI_AGAIN, Reason.DNS)):

        def answer(*_: object, code: int = code, **__: object) -> None:
            raise socket.gaierror(code, "Temporary failure in name resolution")

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        seen = await probe(Target(host="mail.example"))
        assert (seen.stage, seen.reason) == ("dns", reason)
    assert seen.sentence == "DNS gave no address for mail.example:25: temporary failure in name resolution"


async def test_it_looks_at_an_address_though_dns_answers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answering = threading.Event()
    looked_up = socket.getaddrinfo

    def answer(host: str, *details: Any, **more: Any) -> Any:
        if not more.get("flags"):
            answering.wait()
        return looked_up(host, *details, **more)

    async with Relay() as relay:
        monkeypatch.setattr(socket, "getaddrinfo", answer)
        try:
            names = [Target(host=f"mail{n}.invalid") for n in range(40)]
            lost = await asyncio.gather(*(probe(name, Limits(dns=SHORT)) for name in names))
            assert {(seen.stage, seen.reason) for seen in lost} == {("dns", Reason.TIMEOUT)}
            assert lost[0].sentence == "no answer from DNS about mail0.invalid:25 within 0.15 s"
            assert (await look(relay)).ok
        finally:
            answering.set()


async def test_it_reads_a_421_at_any_moment() -> None:
    async with Relay() as relay:
        await relay.behave(goodbye("4.3.2 busy"))
        seen = await look(relay)
        assert seen.sentence == f"421 4.3.2 busy at greeting from 127.0.0.1:{relay.port}"


async def test_it_gives_a_slow_greeting_its_time() -> None:
    async with Relay() as relay:
        await relay.behave(slow("greeting", timedelta(seconds=0.2)))
        seen = await probe(Target(host="127.0.0.1", port=relay.port))
    assert seen.ok
    # The relay's time runs from the moment that it has the connection, which is a little before we know of it.
    assert seen.timings[probing.Stage.CONNECT] + seen.timings[probing.Stage.GREETING] >= 200


async def test_it_stops_at_a_line_without_end() -> None:
    async with Relay() as relay:
        await relay.behave(endless("ehlo"))
        seen = await probe(Target(host="127.0.0.1", port=relay.port))
    assert (seen.stage, seen.reason) == ("ehlo", Reason.MALFORMED)
    assert "whose line does not end at EHLO" in seen.sentence


async def test_it_stops_at_a_reply_without_end() -> None:
    async with Relay() as relay:
        await relay.behave(reply("ehlo", 250, "\n".join(["more"] * 500)))
        seen = await probe(Target(host="127.0.0.1", port=relay.port))
    assert "an answer of more than 100 lines" in seen.sentence


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 400 Bad Request\r\n", b"\x16\x03\x01\x02\r\n", b"250-one\r\n251 two\r\n", b"999 no\r\n", b"\r\n"],
)
async def test_it_says_that_what_answers_is_not_a_mail_server(said: bytes) -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        seen = await probe(Target(host="127.0.0.1", port=server.sockets[0].getsockname()[1]))
    assert (seen.stage, seen.reason) == ("greeting", Reason.MALFORMED)
    assert seen.sentence.isprintable()


async def test_it_reads_replies_that_come_in_pieces(full: Profile, certificate: Certificate) -> None:
    async with Relay(full) as relay, FaultProxy("127.0.0.1", relay.port) as proxy:
        proxy.delay = timedelta(milliseconds=10)
        seen = await probe(target(relay, certificate, port=proxy.port))
        assert seen.ok
        for octets in (1, 5, 30, 100):
            proxy.cut_after(octets, "down")
            assert (await probe(target(relay, certificate, port=proxy.port))).reason is Reason.RESET


async def test_it_shows_people_printable_text_of_bounded_length() -> None:
    async with Relay() as relay:
        await relay.behave(reply("ehlo", 550, "5.7.1 \x1b[31mred\u202egnorw\x00 " + "long " * 150))
        seen = await look(relay)
    assert seen.text.startswith("[31mred gnorw long long")
    assert len(seen.text) == 300
    assert seen.text.isprintable()


async def test_it_never_shows_the_password_a_server_repeats() -> None:
    async with Relay(Profile(credentials={"holdfast": "other"})) as relay:
        await relay.behave(reply("auth", 535, "5.7.8 holdfast may not use s3cret"))
        seen = await look(relay, username="holdfast", password=SecretStr("s3cret"))
    assert seen.stage == "auth"
    assert seen.text == "holdfast may not use ***"
    assert "s3cret" not in repr(seen)


async def test_it_sends_no_password_when_starttls_was_stripped() -> None:
    async with Relay(Profile(credentials={"holdfast": "s3cret"})) as relay:
        await relay.behave(hang("auth"))
        seen = await look(relay, tls="starttls", username="holdfast", password=SecretStr("s3cret"))
    assert (seen.stage, seen.reason) == ("starttls", Reason.NOT_OFFERED)
    assert seen.sentence == f"STARTTLS not offered by 127.0.0.1:{relay.port}"


async def test_it_says_that_no_way_to_authenticate_is_offered() -> None:
    async with Relay() as relay:
        seen = await look(relay, username="holdfast", password=SecretStr("s3cret"))
    assert (seen.stage, seen.reason) == ("auth", Reason.NOT_OFFERED)


async def test_it_authenticates_step_by_step_where_only_login_is_offered() -> None:
    async with Relay(Profile(credentials={"holdfast": "s3cret"})) as relay:
        await relay.behave(reply("ehlo", 250, "relay\nAUTH LOGIN"))
        assert (await look(relay, username="holdfast", password=SecretStr("s3cret"))).ok
        refused = await look(relay, username="holdfast", password=SecretStr("wrong"))
        assert (refused.stage, refused.code, refused.enhanced) == ("auth", 535, "5.7.8")


async def test_it_sees_garbage_instead_of_a_handshake(full: Profile, certificate: Certificate) -> None:
    async with Relay(full) as relay:
        await relay.behave(garbage())
        seen = await probe(target(relay, certificate))
    assert seen.stage == "starttls"
    assert seen.reason in {Reason.TLS, Reason.MALFORMED}


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(
    ("names", "days", "reason", "words"),
    [
        (("localhost",), -1, Reason.CERTIFICATE_EXPIRED, "has expired"),
        (("other.example",), 30, Reason.CERTIFICATE_NAME, "is for another name"),
    ],
)
async def test_it_names_what_is_wrong_with_a_certificate(
    tmp_path: Path, implicit: bool, names: tuple[str], days: int, reason: Reason, words: str
) -> None:
    bad = Certificate(tmp_path, *names, days=days, addresses=())
    async with Relay(Profile(tls=bad.server(), implicit_tls=implicit)) as relay:
        tls = "tls" if implicit else "starttls"
        seen = await probe(target(relay, bad, host="localhost", tls=tls, username=None))
    assert (seen.stage, seen.reason) == ("starttls", reason)
    assert seen.sentence == f"certificate of localhost:{relay.port} {words}"


async def test_it_does_not_accept_a_self_signed_certificate(full: Profile, certificate: Certificate) -> None:
    async with Relay(full) as relay:
        seen = await probe(target(relay, certificate, context=None))
    assert seen.reason is Reason.CERTIFICATE_SELF_SIGNED


async def test_it_speaks_tls_from_the_first_octet(certificate: Certificate) -> None:
    async with Relay(Profile(tls=certificate.server(), implicit_tls=True)) as relay:
        seen = await probe(target(relay, certificate, tls="tls", username=None))
        assert seen.ok
        await relay.behave(garbage())
        seen = await probe(target(relay, certificate, tls="tls", username=None))
        assert (seen.stage, seen.reason) == ("starttls", Reason.TLS)


async def test_it_closes_its_socket_when_it_is_cancelled() -> None:
    async with Relay() as relay:
        await relay.behave(hang("ehlo"))
        looking = asyncio.create_task(probe(Target(host="127.0.0.1", port=relay.port)))
        await relay.wait_for_connections(1)
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        await relay.wait_for_connections(0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": ""},
        {"host": "a b"},
        {"helo": "me\r\nQUIT"},
        {"probe_from": "a@b>\r\nDATA"},
        {"probe_to": "a\0b"},
    ],
)
def test_it_refuses_a_target_that_would_smuggle_commands(wrong: dict[str, str]) -> None:
    with pytest.raises(BadInputError, match="cannot be a name"):
        Target(**{"host": "mail.example", **wrong})  # type: ignore[arg-type]  # wrong on purpose
