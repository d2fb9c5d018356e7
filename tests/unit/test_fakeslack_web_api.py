"""The Web API of the fake Slack, called by the real SDK."""

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from bot.demo.fakeslack import METHOD_SCOPES, FakeSlack
from tests.unit.fakeslack_support import client_of

BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "*mail-1* is down"}}]


async def test_it_stores_a_message_with_its_blocks_and_metadata() -> None:
    async with FakeSlack() as slack:
        ops = slack.add_channel("email-ops")
        event = {"event_type": "holdfast_post", "event_payload": {"key": "outage-1"}}
        answer = await client_of(slack).chat_postMessage(
            channel=ops.id, text="mail-1 is down", blocks=BLOCKS, metadata=event
        )
        message = ops.messages[0]
        assert answer["ts"] == message.ts
        assert message.blocks[0]["text"] == BLOCKS[0]["text"]
        assert message.metadata == event
        slack.assert_no_violations()


@pytest.mark.parametrize("way", ["query", "form", "json", "query of a post"])
async def test_it_takes_arguments_in_every_shape_the_sdk_sends(way: str) -> None:
    async with FakeSlack() as slack, aiohttp.ClientSession() as session:
        ops = slack.add_channel("email-ops")
        args = {"channel": ops.id, "text": "hello", "blocks": '[{"type":"divider"}]'}
        url = slack.api_url + "chat.postMessage"
        headers = {"Authorization": f"Bearer {slack.bot_token}"}
        if way == "query":
            reply = await session.get(url, params=args, headers=headers)
        elif way == "form":
            reply = await session.post(url, data=args, headers=headers)
        elif way == "json":
            reply = await session.post(url, json=args, headers=headers)
        else:
            reply = await session.post(url, params=args, headers=headers)
        assert (await reply.json())["ok"] is True
        assert ops.messages[0].blocks[0]["type"] == "divider"


async def test_it_checks_tokens() -> None:
    async with FakeSlack() as slack:
        assert await _error(client_of(slack, "xoxb-other").auth_test()) == "invalid_auth"
        assert await _error(client_of(slack, slack.app_token).auth_test()) == "not_allowed_token_type"
        connection = client_of(slack).apps_connections_open(app_token=slack.bot_token)
        assert await _error(connection) == "not_allowed_token_type"
        async with aiohttp.ClientSession() as session:
            reply = await session.post(slack.api_url + "auth.test")
            assert (await reply.json())["error"] == "not_authed"


async def test_it_names_the_scope_that_is_missing() -> None:
    async with FakeSlack(scopes={"chat:write"}) as slack:
        ops = slack.add_channel("email-ops")
        with pytest.raises(SlackApiError) as caught:
            await client_of(slack).pins_add(channel=ops.id, timestamp="1.000001")
        assert caught.value.response["needed"] == "pins:write"
        assert caught.value.response["provided"] == "chat:write"
        assert "pins:write" in METHOD_SCOPES["pins.add"]


async def test_it_asks_for_the_scope_of_the_kind_of_channel() -> None:
    async with FakeSlack(scopes={"channels:history"}) as slack:
        public, private = slack.add_channel("email-ops"), slack.add_channel("board", private=True)
        client = client_of(slack)
        assert (await client.conversations_history(channel=public.id))["messages"] == []
        assert await _error(client.conversations_history(channel=private.id)) == "missing_scope"


async def test_it_refuses_an_unknown_method_and_notes_it() -> None:
    async with FakeSlack() as slack:
        assert await _error(client_of(slack).api_call("chat.shout")) == "unknown_method"
        assert slack.violations == ["chat.shout: no such method"]


async def test_it_notes_an_argument_that_slack_would_ignore() -> None:
    async with FakeSlack() as slack:
        ops = slack.add_channel("email-ops")
        await client_of(slack).chat_postMessage(channel=ops.id, text="hi", thread="1.0")
        with pytest.raises(AssertionError, match="unknown argument thread"):
            slack.assert_no_violations()


async def test_it_refuses_a_call_without_a_required_argument() -> None:
    async with FakeSlack() as slack:
        assert await _error(client_of(slack).api_call("pins.add", params={"channel": "C1"})) == "invalid_arguments"
        assert "missing required field: timestamp" in slack.violations[0]


async def test_it_notes_blocks_without_a_text_for_notifications() -> None:
    async with FakeSlack() as slack:
        ops = slack.add_channel("email-ops")
        await client_of(slack).api_call("chat.postMessage", json={"channel": ops.id, "blocks": BLOCKS})
        assert "blocks without text" in slack.violations[0]


@pytest.mark.parametrize(
    ("channel", "error"),
    [("closed", "is_archived"), ("secret", "channel_not_found"), ("nowhere", "channel_not_found")],
)
async def test_it_refuses_channels_where_nobody_can_post(channel: str, error: str) -> None:
    async with FakeSlack() as slack:
        ids = {
            "closed": slack.add_channel("closed", archived=True).id,
            "secret": slack.add_channel("secret", private=True, member=False).id,
            "nowhere": "C0NOWHERE",
        }
        assert await _error(client_of(slack).chat_postMessage(channel=ids[channel], text="hi")) == error


async def test_it_lets_the_bot_post_outside_its_channels_only_with_the_scope_for_it() -> None:
    async with FakeSlack() as slack:
        other = slack.add_channel("general", member=False)
        await client_of(slack).chat_postMessage(channel=other.id, text="hi")
        slack.scopes -= {"chat:write.public"}
        client = client_of(slack)
        assert await _error(client.chat_postMessage(channel=other.id, text="hi")) == "not_in_channel"
        assert await _error(client.conversations_history(channel=other.id)) == "not_in_channel"
        await client.conversations_join(channel=other.id)
        await client.chat_postMessage(channel=other.id, text="hi again")


async def test_it_threads_replies_and_broadcasts() -> None:
    async with FakeSlack() as slack:
        ops, client = slack.add_channel("email-ops"), client_of(slack)
        first = await client.chat_postMessage(channel=ops.id, text="down")
        await client.chat_postMessage(channel=ops.id, text="held", thread_ts=first["ts"])
        await client.chat_postMessage(channel=ops.id, text="up", thread_ts=first["ts"], reply_broadcast=True)
        (headline,) = ops.messages
        assert [each.text for each in headline.thread] == ["held", "up"]
        assert [each.text for each in ops.broadcasts] == ["up"]
        history = await client.conversations_history(channel=ops.id)
        assert [each["text"] for each in history["messages"]] == ["up", "down"]
        assert history["messages"][1]["reply_count"] == 2


async def test_it_refuses_a_thread_that_does_not_exist() -> None:
    async with FakeSlack() as slack:
        ops, client = slack.add_channel("email-ops"), client_of(slack)
        missing = client.chat_postMessage(channel=ops.id, text="hi", thread_ts="1.000001")
        assert await _error(missing) == "thread_not_found"
        assert await _error(client.conversations_replies(channel=ops.id, ts="1.000001")) == "thread_not_found"


async def test_it_keeps_what_an_edited_message_said_before() -> None:
    async with FakeSlack() as slack:
        ops, client = slack.add_channel("email-ops"), client_of(slack)
        first = await client.chat_postMessage(channel=ops.id, text="down", blocks=BLOCKS)
        await client.chat_update(channel=ops.id, ts=first["ts"], text="up again")
        (message,) = ops.messages
        assert (message.text, message.blocks) == ("up again", [])
        assert message.edits[0].text == "down"
        assert message.edits[0].blocks[0]["text"] == BLOCKS[0]["text"]


async def test_it_lets_the_bot_change_only_its_own_messages() -> None:
    async with FakeSlack() as slack:
        ops, maria, client = slack.add_channel("email-ops"), slack.add_user("maria"), client_of(slack)
        message = await slack.say(maria, ops, "mail is slow")
        assert await _error(client.chat_update(channel=ops.id, ts=message.ts, text="x")) == "cant_update_message"
        assert await _error(client.chat_delete(channel=ops.id, ts=message.ts)) == "cant_delete_message"
        assert await _error(client.chat_update(channel=ops.id, ts="1.000001", text="x")) == "message_not_found"


async def test_it_deletes_a_message() -> None:
    async with FakeSlack() as slack:
        ops, client = slack.add_channel("email-ops"), client_of(slack)
        first = await client.chat_postMessage(channel=ops.id, text="oops")
        (message,) = ops.messages
        await client.chat_delete(channel=ops.id, ts=first["ts"])
        assert message.deleted
        assert ops.messages == []


async def test_it_pages_through_history_and_gives_metadata_only_when_asked() -> None:
    async with FakeSlack() as slack:
        ops, client = slack.add_channel("email-ops"), client_of(slack)
        for number in range(5):
            event = {"event_type": "post", "event_payload": {"key": number}}
            await client.chat_postMessage(channel=ops.id, text=f"message {number}", metadata=event)
        pages = [
            [each["text"] for each in page["messages"]]
            async for page in await client.conversations_history(channel=ops.id, limit=2)
        ]
        assert pages == [["message 4", "message 3"], ["message 2", "message 1"], ["message 0"]]
        bare = await client.conversations_history(channel=ops.id)
        assert all("metadata" not in each for each in bare["messages"])
        full = await client.conversations_history(channel=ops.id, include_all_metadata=True)
        assert full["messages"][0]["metadata"]["event_payload"] == {"key": 4}


async def test_it_cuts_history_at_oldest_and_latest() -> None:
    async with FakeSlack() as slack:
        ops, client = slack.add_channel("email-ops"), client_of(slack)
        stamps = [(await client.chat_postMessage(channel=ops.id, text=word))["ts"] for word in ("a", "b", "c")]
        later = await client.conversations_history(channel=ops.id, oldest=stamps[0])
        assert [each["text"] for each in later["messages"]] == ["c", "b"]
        between = await client.conversations_history(channel=ops.id, oldest=stamps[0], latest=stamps[1], inclusive=True)
        assert [each["text"] for each in between["messages"]] == ["b", "a"]


async def test_it_gives_rising_timestamps() -> None:
    async with FakeSlack() as slack:
        stamps = [slack.workspace.new_ts() for _ in range(1000)]
        assert stamps == sorted(set(stamps))


async def test_it_shows_an_ephemeral_message_to_one_person() -> None:
    async with FakeSlack() as slack:
        ops, maria, jo = slack.add_channel("email-ops"), slack.add_user("maria"), slack.add_user("jo")
        await client_of(slack).chat_postEphemeral(channel=ops.id, user=maria.id, text="only you")
        assert [each.text for each in slack.ephemerals(maria)] == ["only you"]
        assert slack.ephemerals(jo) == []
        assert ops.messages == []


async def test_it_opens_a_direct_conversation() -> None:
    async with FakeSlack() as slack:
        maria, client = slack.add_user("maria"), client_of(slack)
        opened = await client.conversations_open(users=[maria.id])
        await client.chat_postMessage(channel=opened["channel"]["id"], text="you asked")
        await client.chat_postMessage(channel=maria.id, text="and again")
        assert [each.text for each in slack.direct(maria).messages] == ["you asked", "and again"]


async def test_it_tells_who_is_who() -> None:
    async with FakeSlack() as slack:
        maria = slack.add_user("maria", real_name="Maria Ortiz", tz="Europe/Madrid")
        group, client = slack.add_usergroup("approvers", users=[maria]), client_of(slack)
        user = (await client.users_info(user=maria.id))["user"]
        assert (user["real_name"], user["tz"]) == ("Maria Ortiz", "Europe/Madrid")
        assert (await client.users_lookupByEmail(email=maria.email))["user"]["id"] == maria.id
        assert await _error(client.users_lookupByEmail(email="x@y.z")) == "users_not_found"
        assert (await client.usergroups_users_list(usergroup=group.id))["users"] == [maria.id]
        groups = await client.usergroups_list(include_users=True)
        assert groups["usergroups"][0]["handle"] == "approvers"
        slack.disable_usergroup(group)
        assert (await client.usergroups_list())["usergroups"] == []
        assert (await client.usergroups_list(include_disabled=True))["usergroups"][0]["date_delete"] > 0
        assert await _error(client.usergroups_users_list(usergroup=group.id)) == "no_such_subteam"
        assert maria.id in [each["id"] for each in (await client.users_list())["members"]]


async def test_it_lists_the_channels_the_bot_may_see() -> None:
    async with FakeSlack() as slack:
        slack.add_channel("email-ops")
        slack.add_channel("secret", private=True, member=False)
        slack.add_channel("board", private=True)
        listed = await client_of(slack).conversations_list(types="public_channel,private_channel")
        assert [each["name"] for each in listed["channels"]] == ["email-ops", "board"]


async def test_it_pins_reacts_and_links() -> None:
    async with FakeSlack() as slack:
        ops, client = slack.add_channel("email-ops"), client_of(slack)
        ts = (await client.chat_postMessage(channel=ops.id, text="down"))["ts"]
        await client.pins_add(channel=ops.id, timestamp=ts)
        await client.reactions_add(channel=ops.id, timestamp=ts, name="eyes")
        assert await _error(client.reactions_add(channel=ops.id, timestamp=ts, name="eyes")) == "already_reacted"
        assert (await client.pins_list(channel=ops.id))["items"][0]["message"]["ts"] == ts
        got = await client.reactions_get(channel=ops.id, timestamp=ts)
        assert got["message"]["reactions"] == [{"name": "eyes", "users": [slack.bot.id], "count": 1}]
        link = (await client.chat_getPermalink(channel=ops.id, message_ts=ts))["permalink"]
        assert ts.replace(".", "") in link
        assert ops.messages[0].pinned


async def test_it_takes_a_file() -> None:
    async with FakeSlack() as slack:
        ops, client = slack.add_channel("email-ops"), client_of(slack)
        await client.files_upload_v2(channel=ops.id, content="lost,3\n", filename="lost.csv", title="Lost")
        (message,) = ops.messages
        assert message.files[0]["title"] == "Lost"
        assert slack.workspace.files[message.files[0]["id"]]["content"] == b"lost,3\n"
        slack.assert_no_violations()


async def test_it_adds_a_bookmark() -> None:
    async with FakeSlack() as slack:
        ops = slack.add_channel("email-ops")
        await client_of(slack).bookmarks_add(
            channel_id=ops.id, title="Status", type="link", link="https://status.acme.example"
        )
        assert ops.bookmarks[0]["title"] == "Status"


async def test_it_keeps_tokens_out_of_the_list_of_calls() -> None:
    async with FakeSlack() as slack:
        await client_of(slack).apps_connections_open(app_token=slack.app_token)
        assert slack.calls[0].method == "apps.connections.open"
        assert slack.app_token not in str(slack.calls)


async def _error(call: object) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call  # type: ignore[misc]  # the SDK's coroutines are untyped
    return str(caught.value.response["error"])
