"""What a failed call of Slack means: was anything posted, how long to wait, and the sentence for people."""

from dataclasses import dataclass
from datetime import timedelta

from aiohttp import ClientConnectorError
from slack_sdk.errors import SlackApiError

from bot.slack.answering import reason

AWAY = "Slack cannot be reached or answers with errors. Nothing is lost: posting goes on as soon as it answers."

# Slack's words for "something went wrong on our side, perhaps after it was done".
_UNSURE = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
TOKEN_REFUSED = frozenset({
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type",
    "org_login_required", "team_access_not_granted",
})  # fmt: skip
BLOCKS_REFUSED = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})
MESSAGE_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
THREAD_GONE = frozenset({"thread_not_found", "message_not_found", "cannot_reply_to_message"})
CHANNEL_WRONG = frozenset({"channel_not_found", "not_in_channel", "is_archived", "restricted_action"})


@dataclass(frozen=True)
class Setback:
    """`refused`: Slack surely did not take it. `wait`: how long Slack asks us to wait, where it does."""

    code: str
    sentence: str
    refused: bool
    wait: timedelta | None = None

    @property
    def is_away(self) -> bool:
        return self.sentence == AWAY


def judge(error: BaseException, channel: str, install_url: str | None = None) -> Setback:
    """What to make of one of SLACK_ERRORS, from a call about `channel`. `install_url`: where the token comes from."""
    code = reason(error)
    if not isinstance(error, SlackApiError):
        # Without a connection nothing left; with one, the request may have arrived.
        return Setback(code, AWAY, refused=isinstance(error, ClientConnectorError))
    status = error.response.status_code
    if status == 429 or code == "ratelimited":
        wait = timedelta(seconds=_seconds(error.response.headers.get("Retry-After")))
        sentence = f"Slack asks to wait {wait.total_seconds():.0f} s between messages; posting goes on after that."
        return Setback("ratelimited", sentence, refused=True, wait=wait)
    if status >= 500 or code in _UNSURE:
        return Setback(code, AWAY, refused=False)
    if install_url is not None and code in TOKEN_REFUSED:
        return Setback(code, _not_installed(code, install_url), refused=True)
    return Setback(code, _refusal(error, code, channel), refused=True)


def _seconds(header: str | None) -> float:
    # https://docs.slack.dev/apis/web-api/rate-limits/ gives whole seconds; without the header a careful guess
    return float(header) if header and header.replace(".", "", 1).isdigit() else 30.0


def _not_installed(code: str, install_url: str) -> str:
    if code == "not_authed":
        return f"Holdfast is not installed in its workspace. Open {install_url} to install it."
    return f"Slack refuses the bot's token ({code}). Open {install_url} to install Holdfast again."


def _refusal(error: SlackApiError, code: str, channel: str) -> str:
    if code in TOKEN_REFUSED:
        return f"Slack refuses the bot's token ({code}). Correct HOLDFAST_SLACK_BOT_TOKEN and restart Holdfast."
    if code == "missing_scope":
        needed = error.response.get("needed", "another scope")
        return f"The Slack app lacks the scope {needed}. Add it on the app's page and install the app again."
    if code == "channel_not_found":
        return (
            f"Slack knows no channel {channel}, or the bot may not see it. Correct HOLDFAST_CHANNEL; a private channel "
            "must invite the bot."
        )
    if code == "not_in_channel":
        return f"The bot is not in the channel {channel}. Invite it there with /invite @holdfast."
    if code == "is_archived":
        return f"The channel {channel} is archived. Unarchive it, or set HOLDFAST_CHANNEL to another."
    if code == "restricted_action":
        return (
            f"The workspace does not let the bot post in {channel}. Ask an admin, or set HOLDFAST_CHANNEL to another."
        )
    return f"Slack refused the message ({code}). Run holdfast check."
