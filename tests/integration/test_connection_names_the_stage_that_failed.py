"""A session that does not come about says at which stage, with which reply, and why; and leaves no socket."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.demo.relays import Profile, Relay, cut, endless, garbage, hang, refuse, reply
from bot.demo.relays import Stage as Place
from bot.mail.connection import Connection, Encryption, Endpoint, Lost
from bot.mail.replies import Reply, Stage
from bot.mail.transaction import Limits
from tests.certificates import Certificate
from tests.sessions import HASTY, connected, eventually, scripted, speaking

PLACES = pytest.mark.parametrize("place", ["greeting", "ehlo"])


async def lost(endpoint: Endpoint, limits: Limits = HASTY) -> Lost:
    with pytest.raises(Lost) as caught:
        await Connection.open(endpoint, limits)
    return caught.value


def plain(relay: Relay) -> Endpoint:
    return Endpoint("127.0.0.1", relay.port, helo="me.example.com")


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 70 + ".example.com", "bad..example.com"])
async def test_a_name_that_does_not_exist_fails_at_dns(host: str) -> None:
    failure = await lost(Endpoint(host, 25, helo="me.example.com"), Limits())
    assert (failure.stage, failure.reply) == (Stage.dns, None)
    assert failure.text == f"{host}:25 cannot be found in the DNS at dns."


async def test_a_refused_connection_fails_at_connect() -> None:
    async with Relay() as relay:
        await relay.behave(refuse())
        failure = await lost(plain(relay))
        assert (failure.stage, failure.reply) == (Stage.connect, None)
        assert failure.text == f"127.0.0.1:{relay.port} refused the connection at connect."


@PLACES
@pytest.mark.parametrize("code", [421, 554])
async def test_a_refusal_is_told_with_its_reply(place: Place, code: int) -> None:
    async with Relay() as relay:
        await relay.behave(reply(place, code, "5.7.1 Go away"))
        failure = await lost(plain(relay))
        assert (failure.stage, failure.reply) == (place, Reply(code, "5.7.1 Go away"))
        assert f"answered {code} 5.7.1 Go away at {place}" in failure.text


@PLACES
async def test_a_server_that_falls_silent_is_left_in_time(place: Place) -> None:
    async with Relay() as relay:
        await relay.behave(hang(place))
        failure = await lost(plain(relay))
        assert (failure.stage, failure.reply) == (place, None)
        assert "did not answer within 0.3 s" in failure.text


@PLACES
async def test_a_server_that_hangs_up_is_told(place: Place) -> None:
    async with Relay() as relay:
        await relay.behave(cut(place))
        failure = await lost(plain(relay))
        assert (failure.stage, failure.reply) == (place, None)
        assert "closed the connection" in failure.text


async def test_a_greeting_without_an_end_is_cut_off() -> None:
    async with Relay() as relay:
        await relay.behave(endless("greeting"))
        failure = await lost(plain(relay), Limits())
        assert (failure.stage, failure.reply) == (Stage.greeting, None)


async def test_a_server_without_ehlo_is_greeted_by_helo() -> None:
    async with Relay() as relay:
        await relay.behave(reply("ehlo", 502, "5.5.1 Not implemented", times=1))
        async with connected(relay.port) as connection:
            assert not connection.features.pipelining


async def test_starttls_that_is_not_offered_is_told() -> None:
    async with Relay() as relay:
        failure = await lost(Endpoint("127.0.0.1", relay.port, tls="starttls", helo="me.example.com"))
        assert (failure.stage, failure.reply) == (Stage.starttls, None)
        assert "does not offer STARTTLS" in failure.text


async def test_an_answer_to_ehlo_without_an_end_is_cut_off() -> None:
    async with Relay() as relay:
        await relay.behave(endless("ehlo"))
        failure = await lost(plain(relay), Limits())
        assert (failure.stage, failure.reply) == (Stage.ehlo, None)


async def test_starttls_that_is_refused_is_told_with_its_reply(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "mx.example.com")
    async with Relay(Profile(tls=certificate.server())) as relay:
        await relay.behave(reply("starttls", 454, "4.7.0 TLS not available"))
        failure = await lost(
            Endpoint("127.0.0.1", relay.port, tls="starttls", context=certificate.client(), helo="x"),
        )
        assert (failure.stage, failure.reply) == (Stage.starttls, Reply(454, "4.7.0 TLS not available"))
        assert relay.count == 0


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize(("days", "addresses"), [(-1, ("127.0.0.1",)), (30, ("127.0.0.2",))], ids=["expired", "name"])
async def test_a_certificate_that_is_over_or_for_another_server_is_told(
    tls: Encryption, days: int, addresses: tuple[str, ...], tmp_path: Path
) -> None:
    certificate = Certificate(tmp_path, "mx.example.com", days=days, addresses=addresses)
    async with Relay(Profile(tls=certificate.server(), implicit_tls=tls == "tls")) as relay:
        failure = await lost(Endpoint("127.0.0.1", relay.port, tls=tls, context=certificate.client(), helo="x"))
        assert (failure.stage, failure.reply) == (Stage.starttls, None)
        assert "certificate that cannot be trusted" in failure.text


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_certificate_that_is_not_trusted_is_told(tls: Encryption, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "mx.example.com")
    async with Relay(Profile(tls=certificate.server(), implicit_tls=tls == "tls")) as relay:
        failure = await lost(
            Endpoint("127.0.0.1", relay.port, tls=tls, context=ssl.create_default_context(), helo="x"),
        )
        assert (failure.stage, failure.reply) == (Stage.starttls, None)
        assert "certificate that cannot be trusted" in failure.text


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_broken_handshake_is_told(tls: Encryption, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "mx.example.com")
    async with Relay(Profile(tls=certificate.server(), implicit_tls=tls == "tls")) as relay:
        await relay.behave(garbage())
        failure = await lost(
            Endpoint("127.0.0.1", relay.port, tls=tls, context=certificate.client(), helo="x"),
        )
        assert (failure.stage, failure.reply) == (Stage.starttls, None)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_handshake_that_never_ends_is_left_in_time(tls: Encryption, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "mx.example.com")
    async with Relay(Profile(tls=certificate.server(), implicit_tls=tls == "tls")) as relay:
        await relay.behave(hang("starttls"))
        failure = await lost(
            Endpoint("127.0.0.1", relay.port, tls=tls, context=certificate.client(), helo="x"),
        )
        assert (failure.stage, failure.reply) == (Stage.starttls, None)


async def test_a_silent_server_behind_tls_leaves_no_socket(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "mx.example.com")
    async with Relay(Profile(tls=certificate.server())) as relay:
        await relay.behave(hang("ehlo", after=1))
        failure = await lost(
            Endpoint("127.0.0.1", relay.port, tls="starttls", context=certificate.client(), helo="me.example.com")
        )
        assert failure.stage is Stage.ehlo
        await eventually(lambda: not relay.connections)


async def test_a_wrong_password_is_tried_once_and_told() -> None:
    async with Relay(Profile(credentials={"holdfast": "s3cret"})) as relay:
        await relay.behave(reply("auth", 535, "5.7.8 Wrong", times=1))
        failure = await lost(
            Endpoint("127.0.0.1", relay.port, username="holdfast", password=SecretStr("s3cret"), helo="x")
        )
        assert (failure.stage, failure.reply) == (Stage.auth, Reply(535, "5.7.8 Wrong"))


async def test_a_login_that_is_never_answered_is_left_in_time() -> None:
    async with Relay(Profile(credentials={"holdfast": "s3cret"})) as relay:
        await relay.behave(hang("auth"))
        failure = await lost(
            Endpoint("127.0.0.1", relay.port, username="holdfast", password=SecretStr("s3cret"), helo="x")
        )
        assert (failure.stage, failure.reply) == (Stage.auth, None)


async def test_a_method_that_the_server_does_not_take_after_all_is_followed_by_another() -> None:
    async with Relay(Profile(credentials={"holdfast": "s3cret"})) as relay:
        await relay.behave(reply("auth", 504, "5.5.4 Not this one", times=1))
        connection = await Connection.open(
            Endpoint("127.0.0.1", relay.port, username="holdfast", password=SecretStr("s3cret"), helo="x")
        )
        await connection.close()


async def test_a_server_without_login_is_told() -> None:
    async with Relay() as relay:
        failure = await lost(Endpoint("127.0.0.1", relay.port, username="holdfast", password=SecretStr("x"), helo="x"))
        assert (failure.stage, failure.reply) == (Stage.auth, None)
        assert "no way to log in" in failure.text


async def test_a_password_is_never_shown() -> None:
    assert "s3cret" not in repr(Endpoint("mx.example.com", password=SecretStr("s3cret")))


async def test_a_greeting_that_is_not_smtp_is_told() -> None:
    async with speaking((b"", b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        failure = await lost(Endpoint("127.0.0.1", server.port, helo="x"))
    assert (failure.stage, failure.reply) == (Stage.greeting, None)
    assert "answered what is not SMTP" in failure.text


async def test_a_goodbye_in_the_same_breath_as_the_welcome_is_heard() -> None:
    async with scripted(more=b"421 4.3.2 Closing\r\n") as server, connected(server.port) as connection:
        assert not connection.is_open
        assert "421 4.3.2 Closing" in connection.why_closed


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
async def test_an_opening_that_is_cancelled_at_any_moment_leaves_no_socket(tls: Encryption, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "mx.example.com")
    profile = Profile() if tls == "none" else Profile(tls=certificate.server(), implicit_tls=tls == "tls")
    async with Relay(profile) as relay:
        endpoint = Endpoint("127.0.0.1", relay.port, tls=tls, context=certificate.client(), helo="me.example.com")
        for turns in range(60):
            opening = asyncio.create_task(Connection.open(endpoint))
            for _ in range(turns):
                await asyncio.sleep(0)
            if turns >= 10:
                await eventually(lambda: relay.connections > 0)
            opening.cancel()
            for ended in await asyncio.gather(opening, return_exceptions=True):
                if isinstance(ended, Connection):
                    await ended.close()
            await eventually(lambda: not relay.connections)


def test_the_limits_are_those_of_rfc_5321() -> None:
    limits = Limits()
    assert (limits.greeting, limits.mail, limits.rcpt) == (timedelta(minutes=5),) * 3
    assert (limits.data, limits.body, limits.dot) == (
        timedelta(minutes=2),
        timedelta(minutes=3),
        timedelta(minutes=10),
    )
