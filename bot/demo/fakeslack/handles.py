"""Trigger ids and response URLs: what Slack hands out with a payload, for a short time.

A trigger id opens one view within 3 seconds; a response URL takes five answers within 30 minutes:
https://docs.slack.dev/interactivity/handling-user-interaction/
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from bot.clock import now
from bot.demo.fakeslack.workspace import Channel, Message, SlackRefusesError, User

TRIGGER_LIFE = timedelta(seconds=3)
RESPONSE_LIFE = timedelta(minutes=30)
RESPONSE_USES = 5


@dataclass(slots=True)
class _Trigger:
    user: User
    issued: datetime
    used: bool = False


@dataclass(slots=True)
class ResponseUrl:
    """Where an answer to one interaction goes. `source` is the message with the button that was pressed."""

    channel: Channel
    user: User
    source: Message | None
    issued: datetime = field(default_factory=now)
    uses: int = 0
    answers: list[Message] = field(default_factory=list)

    def spend(self) -> None:
        if now() - self.issued > RESPONSE_LIFE:
            raise SlackRefusesError("expired_url")
        if self.uses >= RESPONSE_USES:
            raise SlackRefusesError("used_url")
        self.uses += 1


class Handles:
    """All that was handed out so far."""

    def __init__(self) -> None:
        self._triggers: dict[str, _Trigger] = {}
        self._responses: dict[str, ResponseUrl] = {}
        self._numbers = count(1)

    def trigger(self, user: User) -> str:
        identity = f"{next(self._numbers):013d}.{user.id}.trigger"
        self._triggers[identity] = _Trigger(user, now())
        return identity

    def exchange(self, identity: str) -> User:
        """The person behind a trigger id, which is then used up."""
        trigger = self._triggers.get(identity)
        if trigger is None:
            raise SlackRefusesError("invalid_trigger_id")
        if trigger.used:
            raise SlackRefusesError("exchanged_trigger_id")
        if now() - trigger.issued > TRIGGER_LIFE:
            raise SlackRefusesError("expired_trigger_id")
        trigger.used = True
        return trigger.user

    def response_url(self, channel: Channel, user: User, source: Message | None) -> tuple[str, ResponseUrl]:
        identity = f"{next(self._numbers):08d}"
        self._responses[identity] = ResponseUrl(channel, user, source)
        return identity, self._responses[identity]

    def find_response(self, identity: str) -> ResponseUrl:
        if identity not in self._responses:
            raise SlackRefusesError("no_such_url")
        return self._responses[identity]
