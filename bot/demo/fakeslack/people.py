"""What people do in the workspace: type commands, press buttons, fill in modals, react, pin, write."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.demo.fakeslack import payloads
from bot.demo.fakeslack.answers import ack_args, after_submission, respond
from bot.demo.fakeslack.delivery import Delivery, Forgery, Postman
from bot.demo.fakeslack.handles import Handles, ResponseUrl
from bot.demo.fakeslack.web import Call, Slack
from bot.demo.fakeslack.workspace import (
    Channel,
    Json,
    Message,
    PersonCannotError,
    SlackRefusesError,
    User,
    View,
    Workspace,
    interactive,
)

DEFAULT_EVENTS = frozenset({
    "app_mention", "reaction_added", "reaction_removed", "pin_added", "pin_removed", "app_home_opened",
    "app_uninstalled", "tokens_revoked",
})  # fmt: skip


class People:
    """The side of the fake Slack that faces people. Each deed gives its delivery, acked or timed out."""

    def __init__(self, workspace: Workspace, handles: Handles, postman: Postman, slack: Callable[[], Slack]) -> None:
        self.workspace = workspace
        self.teams = {workspace.team_id: workspace}
        """The workspaces of this Slack by their ids; most tests need no second one."""
        self.events = DEFAULT_EVENTS
        self._handles = handles
        self._postman = postman
        self._slack = slack

    async def command(self, user: User, channel: Channel, text: str) -> Delivery:
        """Type a slash command, such as "/campaign pause spring-sale"."""
        return await self._deliver(self._command(user, channel, text))

    async def forged_command(
        self,
        user: User,
        channel: Channel,
        text: str,
        *,
        wrong_signature: bool = False,
        age: timedelta = timedelta(),
    ) -> Delivery:
        """A command over HTTP with a wrong signature or an old time stamp, as an attacker would send it."""
        delivery = self._command(user, channel, text)
        await self._postman.deliver(delivery, Forgery(wrong_signature=wrong_signature, age=age))
        return delivery

    async def redeliver(self, delivery: Delivery) -> Delivery:
        """The same payload once more: the same trigger id or event id, a new envelope."""
        again = replace(
            delivery,
            attempt=delivery.attempt + 1,
            retry_reason="timeout",
            road=None,
            status=None,
            acked_in=None,
            late_ack_in=None,
            ack_body=None,
            error=None,
        )
        return await self._deliver(again)

    async def click(
        self,
        user: User,
        target: Message | View,
        label: str,
        *,
        value: Any = None,
        stale: bool = False,
        block_id: str | None = None,
    ) -> Delivery:
        """Press a button, by its text or action id, or choose `value` in a menu; a dialog is confirmed.

        `stale` presses what an earlier version of the message showed, as people whose screen is old do.
        """
        if isinstance(target, View):
            action = self._action(target.blocks, label, value, block_id)
            handles = {"trigger_id": self._handles.trigger(user)}
            payload = payloads.view_action(self.team_of(user), user, target, action, handles)
            return await self._deliver(Delivery("interactive", payload, user, target))
        blocks = _older(target, label) if stale else target.blocks
        action = self._action(blocks, label, value, block_id)
        fields, response = self._fields(user, target.channel, target)
        payload = payloads.message_action(self.team_of(user), user, target, action, blocks, fields)
        return await self._deliver(Delivery("interactive", payload, user, response=response))

    def deny(self, _user: User, target: Message | View, label: str) -> None:
        """Press a button and decline its confirmation dialog: nothing reaches the app."""
        element, _ = _find(target.blocks, label, None)
        if not element.get("confirm"):
            raise PersonCannotError(f"{label!r} asks for no confirmation, so it cannot be declined.")

    def open_views(self, user: User) -> list[View]:
        """The modals a person sees, the topmost last."""
        return list(self.team_of(user).modals.get(user.id, []))

    def home(self, user: User) -> View | None:
        return self.team_of(user).homes.get(user.id)

    async def submit_view(
        self, user: User, view: View | None = None, values: Mapping[str, Any] | None = None
    ) -> Delivery:
        """Fill in the topmost modal (or `view`) by block id or action id, and press its submit button."""
        view = view or self._topmost(user)
        if not view.data.get("submit"):
            raise PersonCannotError(f"The view {view.title!r} has no submit button.")
        given = dict(values or {})
        _known_inputs(view, given)
        state = payloads.state(view.blocks, given, submitted=True)
        handles = {"trigger_id": self._handles.trigger(user)}
        payload = payloads.view_submission(self.team_of(user), user, view, state, handles)
        return await self._deliver(Delivery("interactive", payload, user, view))

    async def close_view(self, user: User, view: View | None = None) -> Delivery | None:
        """Close the topmost modal; the app hears of it when it asked to."""
        view = view or self._topmost(user)
        self.team_of(user).modals[user.id].remove(view)
        self.workspace.changed()
        if not view.data.get("notify_on_close"):
            return None
        payload = payloads.view_closed(self.team_of(user), user, view, cleared=False)
        return await self._deliver(Delivery("interactive", payload, user))

    async def shortcut(self, user: User, callback_id: str, message: Message | None = None) -> Delivery:
        """Use a global shortcut, or with a message one of its message shortcuts."""
        if message is None:
            fields: Json = {"trigger_id": self._handles.trigger(user)}
            response = None
        else:
            fields, response = self._fields(user, message.channel, message)
        payload = payloads.shortcut(self.team_of(user), user, callback_id, message, fields)
        return await self._deliver(Delivery("interactive", payload, user, response=response))

    async def react(self, user: User, message: Message, name: str) -> Delivery | None:
        users = message.reactions.setdefault(name, [])
        if user.id in users:
            raise PersonCannotError(f"{user.name} has already reacted with :{name}:.")
        users.append(user.id)
        self.workspace.changed()
        return await self._event(user, payloads.reaction_event("reaction_added", user, message, name))

    async def unreact(self, user: User, message: Message, name: str) -> Delivery | None:
        users = message.reactions.get(name, [])
        if user.id not in users:
            raise PersonCannotError(f"{user.name} has not reacted with :{name}:.")
        users.remove(user.id)
        if not users:
            del message.reactions[name]
        self.workspace.changed()
        return await self._event(user, payloads.reaction_event("reaction_removed", user, message, name))

    async def pin(self, user: User, message: Message) -> Delivery | None:
        message.pinned = True
        self.workspace.changed()
        return await self._event(user, payloads.pin_event("pin_added", user, message, self.workspace))

    async def unpin(self, user: User, message: Message) -> Delivery | None:
        message.pinned = False
        self.workspace.changed()
        return await self._event(user, payloads.pin_event("pin_removed", user, message, self.workspace))

    async def open_home(self, user: User) -> Delivery | None:
        body: Json = {
            "type": "app_home_opened",
            "user": user.id,
            "channel": self.team_of(user).direct(user).id,
            "tab": "home",
        }
        return await self._event(user, body)

    async def say(self, user: User, channel: Channel, text: str, *, thread_of: Message | None = None) -> Message:
        """Write a message; the app hears of it when it is mentioned or listens to messages."""
        team = self.team_of(user)
        message = team.post(channel, user, text, parent=thread_of)
        body: Json = {"user": user.id, "text": text, "ts": message.ts, "channel": channel.id}
        body |= {"team": team.team_id, "blocks": []}
        if thread_of is not None:
            body["thread_ts"] = thread_of.ts
        kind = {"channel": "channel", "group": "group", "im": "im", "mpim": "mpim"}[channel.kind]
        if f"message.{kind}s" in self.events or f"message.{kind}" in self.events:
            await self._event(user, {"type": "message", "channel_type": kind, **body}, subscribed=True)
        if team.bot.mention in text:
            await self._event(user, {"type": "app_mention", **body})
        return message

    def _command(self, user: User, channel: Channel, text: str) -> Delivery:
        if not text.startswith("/"):
            raise PersonCannotError(f"A command starts with a slash: {text!r}")
        fields, response = self._fields(user, channel, None)
        payload = payloads.slash_command(self.team_of(user), user, channel, text, fields)
        return Delivery("slash_commands", payload, user, response=response)

    def _fields(self, user: User, channel: Channel, source: Message | None) -> tuple[Json, ResponseUrl]:
        identity, response = self._handles.response_url(channel, user, source)
        url = f"{self._slack().base_url}/response/{identity}"
        return {"response_url": url, "trigger_id": self._handles.trigger(user)}, response

    def _action(self, blocks: Sequence[Json], label: str, value: Any, block_id: str | None) -> Json:
        element, found_in = _find(blocks, label, block_id)
        return payloads.action_of(element, found_in, value, self.workspace.new_ts())

    async def _deliver(self, delivery: Delivery) -> Delivery:
        if delivery.kind == "events_api":
            await self._postman.deliver_event(delivery)
            return delivery
        await self._postman.deliver(delivery)
        if delivery.error is None:
            self._take_body(delivery)
        return delivery

    def _take_body(self, delivery: Delivery) -> None:
        """The body of an ack answers a command, and steers the view after a submission."""
        body = ack_args(delivery.ack_body)
        slack = self._slack() if delivery.user is None else self._slack().within(self.team_of(delivery.user))
        call = Call(slack, f"ack of {delivery.payload.get('command', delivery.payload.get('type'))}", body)
        try:
            if delivery.view is not None and delivery.payload["type"] == "view_submission":
                after_submission(call, delivery.view, body)
            elif delivery.kind == "slash_commands" and body and delivery.response is not None:
                respond(call, delivery.response)
        except SlackRefusesError as error:
            delivery.error = error.code

    async def _event(self, user: User, body: Json, *, subscribed: bool = False) -> Delivery | None:
        """Slack sends what the app subscribed to, from the conversations that its bot is in."""
        place = body.get("channel") or body.get("channel_id") or body.get("item", {}).get("channel")
        team = self.team_of(user)
        channel = team.channels[place]
        if not channel.bot_is_member or not (subscribed or body["type"] in self.events):
            return None
        return await self._deliver(Delivery("events_api", payloads.event(team, body), user))

    def team_of(self, user: User) -> Workspace:
        """The workspace in which this person is, as a member or as a guest."""
        return next((each for each in self.teams.values() if user.id in each.users), self.workspace)

    def _topmost(self, user: User) -> View:
        views = self.open_views(user)
        if not views:
            raise PersonCannotError(f"{user.name} sees no modal.")
        return views[-1]


def _older(message: Message, label: str) -> list[Json]:
    for version in reversed(message.edits):
        if any(_matches(element, label) for block in version.blocks for element in interactive(block)):
            return version.blocks
    raise PersonCannotError(f"No earlier version of the message had {label!r}.")


def _find(blocks: Sequence[Json], label: str, block_id: str | None) -> tuple[Json, str]:
    """The one element of this label or action id, and the id of its block."""
    every = [(element, str(block["block_id"])) for block in blocks for element in interactive(block)]
    found = [
        (element, block)
        for element, block in every
        if _matches(element, label) and (block_id is None or block == block_id)
    ]
    if len(found) != 1:
        known = ", ".join(repr(_label(element)) for element, _ in every) or "nothing to press"
        raise PersonCannotError(f"{len(found)} elements are named {label!r}; there is: {known}.")
    return found[0]


def _matches(element: Json, label: str) -> bool:
    return label in {_label(element), str(element.get("action_id"))}


def _label(element: Json) -> str:
    shown = element.get("text") or element.get("placeholder") or {}
    return str(shown.get("text") or element.get("action_id"))


def _known_inputs(view: View, values: Json) -> None:
    names = {str(block["block_id"]) for block in view.blocks}
    names |= {str(each["action_id"]) for block in view.blocks for each in interactive(block)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise PersonCannotError(f"The view has no {', '.join(unknown)}; it has {', '.join(sorted(names))}.")
