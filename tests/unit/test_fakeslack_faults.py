"""Faults on demand, as the real SDK meets them."""

import asyncio

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler

from bot.demo.fakeslack import FakeSlack
from tests.unit.fakeslack_support import client_of


async def test_it_fails_so_many_times_and_no_more() -> None:
    async with FakeSlack() as slack:
        ops, client = slack.add_channel("email-ops"), client_of(slack)
        slack.fault("chat.postMessage", error="fatal_error", times=2)
        for _ in range(2):
            with pytest.raises(SlackApiError, match="fatal_error"):
                await client.chat_postMessage(channel=ops.id, text="hi")
        await client.chat_postMessage(channel=ops.id, text="hi")
        assert [each.text for each in ops.messages] == ["hi"]
        assert len(slack.calls_to("chat.postMessage")) == 3


async def test_it_answers_with_a_status() -> None:
    async with FakeSlack() as slack:
        slack.fault("*", status=500)
        with pytest.raises(SlackApiError) as caught:
            await client_of(slack).auth_test()
        assert caught.value.response.status_code == 500


async def test_the_sdk_waits_as_long_as_retry_after_says() -> None:
    async with FakeSlack() as slack:
        ops, client = slack.add_channel("email-ops"), client_of(slack)
        client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
        slack.fault("chat.postMessage", status=429, retry_after=1)
        started = asyncio.get_running_loop().time()
        await client.chat_postMessage(channel=ops.id, text="hi")
        assert asyncio.get_running_loop().time() - started >= 1
        assert len(ops.messages) == 1


async def test_it_accepts_and_never_answers() -> None:
    async with FakeSlack() as slack:
        ops = slack.add_channel("email-ops")
        slack.fault("chat.postMessage", accept_then_hang=True)
        call = asyncio.create_task(client_of(slack).chat_postMessage(channel=ops.id, text="hi"))
        await slack.wait_for_message(ops, "hi")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_it_accepts_and_cuts_the_connection() -> None:
    async with FakeSlack() as slack:
        ops, client = slack.add_channel("email-ops"), client_of(slack)
        client.retry_handlers.clear()
        slack.fault("chat.postMessage", accept_then_cut=True)
        with pytest.raises(aiohttp.ClientError):
            await client.chat_postMessage(channel=ops.id, text="hi")
        assert [each.text for each in ops.messages] == ["hi"]


async def test_it_is_down_and_up_again() -> None:
    async with FakeSlack() as slack:
        client = client_of(slack)
        client.retry_handlers.clear()
        slack.down()
        with pytest.raises(aiohttp.ClientError):
            await client.auth_test()
        slack.down(status=503)
        with pytest.raises(SlackApiError) as caught:
            await client.auth_test()
        assert caught.value.response.status_code == 503
        slack.up()
        assert (await client.auth_test())["ok"]


async def test_it_limits_the_rate_of_posts_to_a_channel() -> None:
    async with FakeSlack() as slack:
        slack.enforce_rate_limit = True
        ops, other, client = slack.add_channel("email-ops"), slack.add_channel("general"), client_of(slack)
        for _ in range(5):
            await client.chat_postMessage(channel=ops.id, text="hi")
        with pytest.raises(SlackApiError) as caught:
            await client.chat_postMessage(channel=ops.id, text="hi")
        assert caught.value.response.status_code == 429
        assert caught.value.response.headers["Retry-After"] == "1"
        await client.chat_postMessage(channel=other.id, text="hi")


async def test_it_refuses_a_fault_that_does_nothing() -> None:
    async with FakeSlack() as slack:
        with pytest.raises(ValueError, match="needs a status"):
            slack.fault("chat.postMessage")


async def test_it_is_slow() -> None:
    async with FakeSlack() as slack:
        slack.slow(5)
        with pytest.raises(TimeoutError):
            await client_of(slack, seconds=0.05).auth_test()  # type: ignore[arg-type]  # the SDK passes it on
