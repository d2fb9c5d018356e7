"""Modals: opened before anything slow, since a trigger lives 3 s, and looked through before their submission is acked.

https://docs.slack.dev/surfaces/modals/
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from bot.access import Actor
from bot.errors import SHOWABLE, BadInputError, BotError
from bot.services.bundle import Services
from bot.services.messages import Said
from bot.slack.answering import SLACK_ERRORS, reason
from bot.slack.blocks import View
from bot.slack.call import Look
from bot.slack.messages import Messages, said_of
from bot.slack.workspaces import Workspaces
from storage.inbound import Arrival

Json = dict[str, Any]
Value = str | list[str] | None

QUICK = timedelta(seconds=0.8)
"""How long a form may read in the database, before it opens and before its submission is acked."""
STALE = "This form belongs to another version of Holdfast. Nothing was changed; use a command instead."
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Ask:
    """Somebody asks for something that may need a form: a typed command, a button, or a shortcut.

    While the form is opened only the id and the name of `actor` are known: Slack is not asked for more until then.
    """

    actor: Actor
    words: str = ""
    """What was typed after the command's name, or the value of the button."""
    channel: str | None = None
    message: Said | None = None
    """The message whose shortcut was used; its text is in Slack's own markup, and its permalink is not known."""
    permalink: Callable[[str, str], Awaitable[str | None]] | None = None

    async def link(self) -> str | None:
        """The message's permalink. None when Slack does not say."""
        if self.permalink is None or self.message is None:
            return None
        return await self.permalink(self.message.channel, self.message.ts)


@dataclass(frozen=True)
class Sheet:
    """A modal to open, as views.open takes it, and what its submission is to know."""

    view: Json
    typed: str
    """How to do the same without a form."""
    about: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Filled:
    """A form as it was sent: the values by the ids of its input blocks, and what it is about."""

    actor: Actor
    values: Mapping[str, Value]
    about: Json
    look: Look

    def text(self, name: str) -> str:
        """What was written or chosen; empty when nothing was. Raises BadInputError for a form without this field."""
        value = self._value(name)
        return value.strip() if isinstance(value, str) else ""

    def several(self, name: str) -> list[str]:
        """All that was ticked. Raises BadInputError for a form without this field."""
        value = self._value(name)
        return value if isinstance(value, list) else []

    def _value(self, name: str) -> Value:
        if name not in self.values:
            raise BadInputError(STALE)
        return self.values[name]


Opener = Callable[[Services, Ask], Awaitable[Sheet | None]]
"""The form that somebody asks for; None where what was asked is clear without one. It may read a little, no more."""

Asked = Callable[[Services, Ask], Awaitable[View | None]]
"""Carries out a shortcut that needed no form."""


@dataclass(frozen=True)
class Form:
    """What becomes of a submission. `check` says, before it is acked, what is wrong: input block -> sentence."""

    check: Callable[[Services, Filled], Awaitable[dict[str, str]]]
    submit: Callable[[Services, Filled], Awaitable[View | None]]


@dataclass(frozen=True)
class Forms:
    """Everything with modals, given to the edge: openers by command, shortcut or action id; shortcuts by callback id,
    None for those that always open a form; forms by the callback id of their views.
    """

    openers: Mapping[str, Opener] = field(default_factory=dict)
    shortcuts: Mapping[str, Asked | None] = field(default_factory=dict)
    forms: Mapping[str, Form] = field(default_factory=dict)


class FormDesk:
    """Opens modals and looks submissions through."""

    def __init__(self, services: Services, workspaces: Workspaces, forms: Forms) -> None:
        self.forms = forms
        self._services = services
        self._workspaces = workspaces

    async def open(self, arrival: Arrival, *, fresh: bool) -> bool:
        """Open the form that a request asks for. False when it needs none.

        Raises BotError with the typed way where Slack does not open it, or no longer can: the request is not `fresh`.
        """
        payload = arrival.payload
        opener = self.forms.openers.get(_key(arrival))
        if opener is None:
            return False
        sheet = await opener(self._services, self._ask(payload, _stranger(payload)))
        if sheet is None:
            return False
        if not fresh:
            raise BotError(
                f"Holdfast was restarted just then, and the form can no longer be opened. Nothing was changed. Ask "
                f"for it again, or type: {sheet.typed}"
            )
        try:
            client = self._workspaces.of_request(payload)
            await client.views_open(trigger_id=payload["trigger_id"], view=_addressed(sheet, payload))
        except SLACK_ERRORS as error:
            _log.warning("a form was not opened", form=sheet.view["callback_id"], error=reason(error))
            raise BotError(_not_opened(reason(error), sheet.typed)) from error
        return True

    async def errors(self, body: Json) -> dict[str, str]:
        """What is wrong with a submission, by input block, or by "" for all of it; empty when it can be taken."""
        form = self.forms.forms[body["view"]["callback_id"]]
        payload = submission_payload(body)
        check = asyncio.ensure_future(form.check(self._services, self.filled(payload, _stranger(payload))))
        # Not awaited to its end: a connection that hangs takes longer to be given up than Slack waits for the ack.
        done, _ = await asyncio.wait({check}, timeout=QUICK.total_seconds())
        if not done:
            check.add_done_callback(_look_at)
            check.cancel()
            return {"": "The database does not answer in time. Nothing was changed; send the form again in a moment."}
        try:
            found = check.result()
        except SHOWABLE as error:
            return {"": str(error)}
        # Slack refuses errors about what is no input: https://docs.slack.dev/surfaces/modals/#displaying_errors
        known = {each["block_id"] for each in body["view"].get("blocks", []) if each.get("type") == "input"}
        return {name if name in known else "": sentence for name, sentence in found.items()}

    async def submit(self, actor: Actor, payload: Json) -> View | None:
        if payload["form"] not in self.forms.forms:
            return View(STALE)
        return await self.forms.forms[payload["form"]].submit(self._services, self.filled(payload, actor))

    async def run_shortcut(self, actor: Actor, payload: Json) -> View | None:
        carry_out = self.forms.shortcuts.get(payload["callback_id"])
        if carry_out is None:  # of another version, before a restart
            return View("Holdfast has no such shortcut any more. Nothing was changed; try /holdfast help.")
        return await carry_out(self._services, self._ask(payload, actor))

    def _ask(self, payload: Json, actor: Actor) -> Ask:
        message, channel = payload.get("message"), payload.get("channel_id")
        return Ask(
            actor=actor,
            words=payload.get("text") or payload.get("value") or "",
            channel=channel,
            message=said_of(message, channel, None) if message and channel else None,
            permalink=Messages(self._workspaces.of_request(payload)).permalink,
        )

    def filled(self, payload: Json, actor: Actor) -> Filled:
        look = Messages(self._workspaces.of_request(payload)).look
        return Filled(actor, payload["values"], payload["about"], look)


def submission_payload(body: Json) -> Json:
    """What is needed to carry a submission out, and where its answer goes: where the form was asked for."""
    view, user = body["view"], body["user"]
    kept = json.loads(view.get("private_metadata") or "{}")
    place = {
        "user_id": user["id"],
        "user_name": user.get("username") or user.get("name", ""),
        "team_id": user.get("team_id"),
        "workspace_id": (body.get("team") or {}).get("id"),
        "channel_id": kept.get("channel"),
        "thread_ts": kept.get("thread"),
    }
    return {
        **{key: value for key, value in place.items() if value},
        "form": view["callback_id"],
        "title": view["title"]["text"],
        "values": {block: _value(next(iter(fields.values()), {})) for block, fields in view["state"]["values"].items()},
        "about": kept.get("about", {}),
    }


def submission_key(body: Json) -> str:
    """One form is carried out once, however often its button is pressed; a form that was changed is another one."""
    return f"view:{body['view']['id']}:{body['view'].get('hash', '')}"


def shortcut_payload(body: Json, place: Json) -> Json:
    """Of the message only what is used: it may be long."""
    kept = ("ts", "thread_ts", "text", "user", "username", "files")
    message = {key: body["message"][key] for key in kept if body.get("message", {}).get(key)}
    return {**place, "callback_id": body["callback_id"], **({"message": message} if message else {})}


def _key(arrival: Arrival) -> str:
    payload = arrival.payload
    return str(payload.get("command") or payload.get("callback_id") or payload.get("action_id") or "")


def _stranger(payload: Json) -> Actor:
    return Actor(id=payload["user_id"], name=payload.get("user_name") or payload["user_id"])


def _addressed(sheet: Sheet, payload: Json) -> Json:
    """The answer to the submission goes to where the form was asked for."""
    kept = {"channel": payload.get("channel_id"), "thread": payload.get("thread_ts"), "about": sheet.about}
    return {**sheet.view, "private_metadata": json.dumps(kept, ensure_ascii=False)}


def _value(state: Json) -> Value:
    """What an element holds, in the shape of the one field that its type has."""
    if "selected_options" in state:
        return [str(each["value"]) for each in state["selected_options"] or []]
    if "selected_option" in state:
        return str(state["selected_option"]["value"]) if state["selected_option"] else None
    for name in ("value", "selected_user", "selected_date", "selected_time", "selected_conversation"):
        if name in state:
            return None if state[name] is None else str(state[name])
    return None


def _not_opened(code: str, typed: str) -> str:
    if code == "expired_trigger_id":
        return f"Slack opens a form only within 3 seconds, and this took longer. Nothing was changed. Type: {typed}"
    return f"Slack did not open the form ({code}). Nothing was changed. Try again, or type: {typed}"


def _look_at(check: asyncio.Future[dict[str, str]]) -> None:
    """Nobody waits for it any more; asyncio need not complain of what it ends with."""
    if not check.cancelled():
        check.exception()
