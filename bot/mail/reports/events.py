"""Delivery events: JSON that another system posts to us, one object or a list of them.

    {"message_id": "<3f2a...@example.com>", "recipient": "anna@example.com", "event": "bounced",
     "at": "2026-11-24T11:55:08Z", "text": "550 5.1.1 User unknown"}

`event` is accepted, delivered, deferred, bounced or complaint. `at` and `text` may be left out, and so may
`campaign`, the value of X-Holdfast-Campaign, by which a delivery is found faster.
"""

import json
import re
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from bot.errors import BadInputError
from bot.mail.replies import Stage
from bot.mail.reports.report import Report, kind_of, tidy, token_of
from storage.models import ReportKind

MOST: Final = 1_000
"""Events in one call."""

_REPLY: Final = re.compile(r"(?P<code>[245]\d\d)[ -](?P<words>.*)", re.DOTALL)
_ENHANCED: Final = re.compile(r"([45]\.\d{1,3}\.\d{1,3})\b")
_Text = Annotated[str, StringConstraints(max_length=1_000, strip_whitespace=True)]


class Event(BaseModel):
    """One of them, as it comes."""

    model_config = ConfigDict(extra="ignore")

    message_id: _Text
    recipient: _Text
    event: Literal["accepted", "delivered", "deferred", "bounced", "complaint"]
    at: AwareDatetime | None = None
    text: _Text = ""
    campaign: _Text = ""


_EVENTS: Final = TypeAdapter(list[Event])


def read_events(body: bytes) -> tuple[list[Report], int]:
    """The reports in a call, and how many of its events are about mail that cannot be ours.

    Raises BadInputError, which names the event and the field, for what is no such JSON; then nothing is taken.
    """
    try:
        read = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"The body is no JSON ({error}). Nothing was taken.") from error
    listed = read if isinstance(read, list) else [read]
    if len(listed) > MOST:
        raise BadInputError(f"There are {len(listed):,} events; {MOST:,} in one call are possible. Nothing was taken.")
    try:
        events = _EVENTS.validate_python(listed, strict=False)
    except ValidationError as error:
        raise BadInputError(_sentence(error)) from None
    reports = [_report(event, token) for event in events if (token := token_of(event.message_id)) is not None]
    return reports, len(events) - len(reports)


def _report(event: Event, token: str) -> Report:
    at: datetime | None = event.at
    said = _REPLY.match(event.text)
    code, words = (int(said["code"]), said["words"]) if said else (None, event.text)
    enhanced = _ENHANCED.match(words)
    match event.event:
        case "bounced":
            kind = kind_of(code, enhanced[1] if enhanced else "")
        case "deferred":
            kind = ReportKind.ACCEPTED
        case other:
            kind = ReportKind(other)
    # Nobody says at which command it was refused; only an enhanced code can tell that an address does not exist.
    return Report(token, kind, tidy(words), (event.recipient,), event.campaign, code, Stage.dot, at)


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    index, *path = first["loc"]
    field = ".".join(str(part) for part in path)
    where = f"Event {int(index) + 1}" + (f", {field}" if field else "")
    return f"{where}: {first['msg']}. Nothing was taken."
