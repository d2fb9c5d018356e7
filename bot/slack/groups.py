"""Who is in the user groups that the roles name: asked of Slack at the click, and remembered for a minute.

https://docs.slack.dev/reference/methods/usergroups.list/ and usergroups.users.list, of the tier that allows about
20 calls a minute.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.access import Access, Group, Groups
from bot.clock import now
from bot.config import Settings
from bot.services.checking import Finding
from bot.services.words import joined
from bot.slack.answering import SLACK_ERRORS, reason
from bot.slack.blocks import count

FRESH = timedelta(minutes=1)
LAST_KNOWN = timedelta(hours=1)
"""How long what Slack last said still counts while it does not answer."""
_AGAIN = timedelta(seconds=5)
_PATIENCE = timedelta(seconds=2)
_log = structlog.get_logger(__name__)


class UserGroups:
    """`refresh` before roles are asked. It never raises: without Slack the last answer counts, and then nobody."""

    def __init__(self, client: AsyncWebClient, access: Access) -> None:
        self._client = client
        self._access = access
        self._asking: asyncio.Task[None] | None = None
        self._asked_at: datetime | None = None
        self._learnt_at: datetime | None = None
        self._trouble: str | None = None

    async def refresh(self) -> None:
        """At most two seconds. People who press at the same moment share one question."""
        if not self._access.group_words or self._is_recent():
            return
        if self._asking is None or self._asking.done():
            self._asked_at = now()
            self._asking = asyncio.create_task(self._ask(self._asked_at))
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                await asyncio.shield(self._asking)
        except TimeoutError:
            self._fail("timeout")

    def _is_recent(self) -> bool:
        if self._learnt_at is not None and _since(self._learnt_at) <= FRESH:
            return True
        # After a failure not every click waits for a Slack that is away.
        under_way = self._asking is not None and not self._asking.done()
        return not under_way and self._asked_at is not None and _since(self._asked_at) < _AGAIN

    async def _ask(self, at: datetime) -> None:
        try:
            groups = await look_up(self._client, self._access.group_words)
        except SLACK_ERRORS as error:
            self._fail(reason(error))
        else:
            self._learnt_at = at
            self._note(groups.trouble)
            self._access.learn_groups(groups)

    def _fail(self, code: str) -> None:
        sentence = unreadable(code)
        self._note(sentence)
        if self._learnt_at is None or _since(self._learnt_at) > LAST_KNOWN or code == "missing_scope":
            self._access.learn_groups(Groups(trouble=sentence))

    def _note(self, trouble: str | None) -> None:
        """Once for each change, not at every click."""
        if trouble is not None and trouble != self._trouble:
            _log.warning("user groups of the roles", trouble=trouble)
        self._trouble = trouble

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)


def _since(at: datetime) -> timedelta:
    """How long ago; a clock that was set back makes nothing fresh."""
    gone = now() - at
    return gone if gone >= timedelta(0) else timedelta.max


async def look_up(client: AsyncWebClient, words: Sequence[str]) -> Groups:
    """Who is in the groups that are named so. Raises what the SDK raises."""
    answer = await client.usergroups_list(include_disabled=True)
    by_word = {each["id"]: each for each in answer["usergroups"]}
    by_word |= {f"@{each['handle']}".casefold(): each for each in answer["usergroups"]}
    known, problems = {}, []
    for word in words:
        found = by_word.get(word if word in by_word else word.casefold())
        if found is None:
            problems.append(f"There is no user group {word}: correct it under [roles] in holdfast.toml.")
        elif found.get("date_delete"):
            problems.append(f"The user group {word} is switched off in Slack.")
        else:
            listed = await client.usergroups_users_list(usergroup=found["id"])
            known[word] = Group(found["id"], frozenset(listed["users"]))
    return Groups(known, " ".join(problems) or None)


def unreadable(code: str) -> str:
    """Why no group counts."""
    if code == "missing_scope":
        return (
            "The user groups cannot be read: the Slack app lacks the scope usergroups:read. Add it on the app's page "
            "and install the app again."
        )
    return f"Slack did not say who is in the user groups ({code}); it is asked again at the next click."


async def check_groups(client: AsyncWebClient, settings: Settings) -> list[Finding]:
    """For `holdfast check`: nothing where the settings name no group."""
    words = Access(settings.roles, settings.admins, settings.break_glass).group_words
    if not words:
        return []
    try:
        groups = await look_up(client, words)
    except SLACK_ERRORS as error:
        return [Finding("user groups", ok=False, sentence=unreadable(reason(error)))]
    empty = [word for word, group in groups.known.items() if not group.members]
    sentences = [groups.trouble or "", f"Nobody is in {joined(empty)}." if empty else ""]
    if any(sentences):
        return [Finding("user groups", ok=False, sentence=" ".join(each for each in sentences if each))]
    people = {member for group in groups.known.values() for member in group.members}
    sentence = f"{joined(words)} can be read, with {count(len(people), 'person', 'people')} in all."
    return [Finding("user groups", ok=True, sentence=sentence)]
