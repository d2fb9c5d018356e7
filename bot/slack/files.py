"""A file for one person alone: it goes into their conversation with the bot, never into a channel."""

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import BotError
from bot.slack.answering import SLACK_ERRORS, reason
from bot.slack.later import Attached
from bot.slack.setbacks import judge

_log = structlog.get_logger(__name__)


class FileError(BotError):
    """The file did not get to the person; the sentence says why and where else it can be had."""


async def send_file(client: AsyncWebClient, user_id: str, answer: Attached) -> None:
    """Upload it. Slack wants to know its size before the first octet, so it is put together here; whoever makes the
    lines keeps them few enough. Raises FileError.
    """
    content = "".join([line async for line in answer.lines])
    try:
        opened = await client.conversations_open(users=user_id)
        await client.files_upload_v2(
            channel=str(opened["channel"]["id"]),
            filename=answer.filename,
            title=answer.filename,
            content=content,
            initial_comment=answer.text,
        )
    except SLACK_ERRORS as error:
        _log.warning("a file could not be sent", user=user_id, error=reason(error))
        setback = judge(error, "your conversation with Holdfast")
        why = f"Slack did not answer ({reason(error)})." if setback.is_away else setback.sentence
        raise FileError(
            f"The file could not be sent to you. {why} At the terminal there is the same: "
            'holdfast do "/holdfast audit export"'
        ) from error
