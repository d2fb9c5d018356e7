"""Several workspaces in the fake Slack: a token opens its own and no other, may end by itself, and is renewed once."""

from datetime import timedelta

import pytest
import time_machine
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.clock import now
from bot.demo.fakeslack import FakeSlack, User
from tests.unit.fakeslack_support import client_of

# slack_sdk 3.47 proves the app's id and secret with it.
pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")


async def exchanged(slack: FakeSlack, user: User) -> AsyncWebClient:
    """The app as it is installed by this person."""
    page = f"https://x/authorize?client_id={slack.client_id}&scope=commands&redirect_uri=https://me/back&state=s"
    code = slack.agree(user, page).partition("code=")[2].partition("&")[0]
    answer = await renewed(slack, code=code, redirect_uri="https://me/back")
    return client_of(slack, str(answer["access_token"]))


async def renewed(slack: FakeSlack, **more: str) -> dict[str, object]:
    answer = await client_of(slack, "none").oauth_v2_access(
        client_id=slack.client_id, client_secret=slack.client_secret, **more
    )
    assert isinstance(answer.data, dict)
    return answer.data


async def refused(client: AsyncWebClient, method: str, **args: object) -> str:
    with pytest.raises(SlackApiError) as error:
        await getattr(client, method)(**args)
    return str(error.value.response["error"])


async def test_a_token_knows_the_people_and_channels_of_its_workspace_alone() -> None:
    async with FakeSlack() as slack:
        maria, ops = slack.add_user("maria"), slack.add_channel("email-ops")
        beta = slack.add_team("Beta")
        bea, room = beta.add_user("bea"), beta.add_channel("marketing")
        home, other = client_of(slack), await exchanged(slack, bea)

        assert (await other.auth_test())["team_id"] == beta.team_id
        assert (await other.users_info(user=bea.id))["user"]["team_id"] == beta.team_id
        assert await refused(home, "users_info", user=bea.id) == "user_not_found"
        assert await refused(other, "users_info", user=maria.id) == "user_not_found"
        assert await refused(home, "conversations_info", channel=room.id) == "channel_not_found"
        await other.chat_postMessage(channel=room.id, text="hello")
        assert [each.user for each in room.messages] == [beta.bot]
        assert ops.messages == []


async def test_a_removed_app_has_no_token_in_that_workspace_and_keeps_the_others() -> None:
    async with FakeSlack() as slack:
        beta = slack.add_team("Beta")
        bea = beta.add_user("bea")
        other = await exchanged(slack, bea)

        [revoked, uninstalled] = await slack.uninstall(bea)

        assert await refused(other, "auth_test") == "token_revoked"
        assert (await client_of(slack).auth_test())["ok"]
        assert revoked.payload["event"]["tokens"] == {"oauth": [], "bot": [beta.bot.id]}
        assert uninstalled.payload["event"]["type"] == "app_uninstalled"
        assert {each.payload["team_id"] for each in (revoked, uninstalled)} == {beta.team_id}


async def test_a_token_with_an_end_is_renewed_once_and_the_old_one_lives_on_to_its_end() -> None:
    async with FakeSlack() as slack:
        slack.rotates_tokens = True
        bea = slack.add_team("Beta").add_user("bea")
        page = f"https://x/a?client_id={slack.client_id}&scope=commands&redirect_uri=https://me/back&state=s"
        code = slack.agree(bea, page).partition("code=")[2].partition("&")[0]
        first = await renewed(slack, code=code, redirect_uri="https://me/back")
        assert first["expires_in"] == 12 * 60 * 60

        second = await renewed(slack, grant_type="refresh_token", refresh_token=str(first["refresh_token"]))

        old, new = (client_of(slack, str(each["access_token"])) for each in (first, second))
        assert (await old.auth_test())["team"] == (await new.auth_test())["team"] == "Beta"
        again = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        app = {"client_id": slack.client_id, "client_secret": slack.client_secret}
        assert await refused(new, "oauth_v2_access", **app, **again) == "invalid_refresh_token"
        with time_machine.travel(now() + timedelta(hours=12)):
            assert await refused(old, "auth_test") == "token_expired"
