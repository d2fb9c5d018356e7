"""Where Slack's requests come in: taken once, acked at once, carried out in tasks of their own, answered.

Bolt's traps this is built around: a listener must not raise after its ack, and in Socket Mode whatever nobody
listens for gets no ack at all. So one listener for each kind of request takes everything, and what was typed or
pressed is looked up here. `process_before_response` spares the 10 ms that Bolt otherwise sleeps before each ack.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.access import Actor
from bot.clock import now
from bot.errors import SHOWABLE, NotAllowedError, RoleMissingError
from bot.services.bundle import Services
from bot.slack.answering import Answers
from bot.slack.blocks import View, escape
from bot.slack.call import Call, Click, ClickHandler, Event, EventHandler, Handler
from bot.slack.events import event_payload, is_our_own, is_removal
from bot.slack.files import send_file
from bot.slack.forms import STALE, FormDesk, Forms, shortcut_payload, submission_key, submission_payload
from bot.slack.groups import UserGroups
from bot.slack.home import HomeTabs
from bot.slack.inbox import Inbox
from bot.slack.later import Attached, Later
from bot.slack.messages import Messages
from bot.slack.people import People
from bot.slack.requests import click_payload, command_payload, is_safe_again, place_of, tried, typed
from bot.slack.workspaces import Workspaces
from storage.errors import StorageError
from storage.inbound import Arrival

Json = dict[str, Any]
Removed = Callable[[str, datetime], Awaitable[None]]
"""What is done when a workspace, by its id, removed Holdfast at that moment."""
STILL_TIMELY = timedelta(minutes=15)
"""A request that a restart kept from beginning is carried out when it is not older; otherwise it is only told."""
_SEND_AGAIN = (
    "The database does not answer in time. Send the form again in a moment: it is carried out once, however often "
    "it is sent."
)
_ANYTHING = re.compile("")
_CALL = re.compile(r"<!(?!date\^\d+\^)")  # of a channel or a group; a date calls nobody
_MOMENT = 0.1  # seconds
_SLACK = Actor(id="slack", name="Slack")
"""Who caused an event that names nobody. It has no role."""
_log = structlog.get_logger(__name__)


class Edge:
    """Takes commands and clicks from Bolt and answers them.

    `commands` maps `/campaign` to its handler, `actions` maps `outage.acknowledge` to its, `events` maps
    `reaction_added` to its; `forms` has what is asked and sent in modals. `wake` is called after each: there may be
    something to announce. `home` shows the answers to what was pressed in a home tab. `groups` is
    closed by who gave it.
    """

    def __init__(
        self,
        services: Services,
        client: AsyncWebClient,
        commands: Mapping[str, Handler],
        actions: Mapping[str, ClickHandler],
        *,
        events: Mapping[str, EventHandler] | None = None,
        forms: Forms | None = None,
        wake: Callable[[], None] | None = None,
        home: HomeTabs | None = None,
        workspaces: Workspaces | None = None,
        groups: UserGroups | None = None,
        removed: Removed | None = None,
    ) -> None:
        self.commands = commands
        self.actions = actions
        self.events = events or {}
        self._services = services
        self._wake = wake or (lambda: None)
        self._workspaces = workspaces or Workspaces(client)
        self._removed = removed
        self._inbox = Inbox(services.db)
        self._people = People(self._workspaces)
        self._groups = groups or UserGroups(client, services.access)
        self._closes_groups = groups is None
        self._answers = Answers(self._workspaces)
        self._home = home
        self._forms = FormDesk(services, self._workspaces, forms or Forms())
        self._tasks: set[asyncio.Task[object]] = set()
        self._began = now()

    def bolt(self, *, signing_secret: str | None = None) -> AsyncApp:
        """A Bolt app that hands every request to this edge. Without a signing secret it is for Socket Mode only."""

        async def authorize(team_id: str | None) -> AuthorizeResult:
            # From memory: asking auth.test here would put a call to Slack before the first ack.
            token = self._workspaces.of(team_id).token
            return AuthorizeResult(enterprise_id=None, team_id=None, bot_token=token)

        app = AsyncApp(
            name="holdfast",
            authorize=authorize,
            client=AsyncWebClient(base_url=self._workspaces.client.base_url),
            signing_secret=signing_secret or "",
            process_before_response=True,
        )
        app.command(_ANYTHING)(self._on_command)
        app.action(_ANYTHING)(self._on_action)
        app.view(_ANYTHING)(self._on_view)
        app.view_closed(_ANYTHING)(self._only_ack)
        app.shortcut(_ANYTHING)(self._on_shortcut)
        app.options(_ANYTHING)(self._no_options)
        app.event(_ANYTHING)(self._on_event)
        return app

    async def resume(self) -> None:
        """Deal with what was acked before a restart and not finished.

        What had not begun is carried out when it is recent. What had begun may be done or not: repeating it could
        do it twice, so whoever asked is told and decides. Raises StorageError.
        """
        await self._groups.refresh()
        for left in await self._inbox.unfinished():
            timely = now() - left.at <= STILL_TIMELY
            _log.info("taken up after a restart", key=left.arrival.key, begun=left.begun, timely=timely)
            again = is_safe_again(left.arrival) or (not left.begun and timely)
            work = (
                self._handle(left.arrival, fresh=False)
                if again
                else self._tell_interrupted(left.arrival, begun=left.begun)
            )
            self._spawn(work)

    async def drain(self) -> None:
        """Wait until everything that was taken is carried out and answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self, within: timedelta = timedelta(seconds=10)) -> None:
        """As `drain`; handlers that take longer are cut off, and told of after the next start."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self.drain()
        except TimeoutError:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._people.close()
        if self._closes_groups:
            await self._groups.close()
        await self._inbox.close()

    # What Slack delivers

    async def _on_command(self, ack: AsyncAck, body: Json) -> None:
        name = body["command"]
        if name not in self.commands:
            known = ", ".join(sorted(self.commands))
            await ack(f"Holdfast does not know {escape(name)}. It knows {known}. Try /holdfast help.")
            return
        try:
            await self._take(Arrival(f"command:{body['trigger_id']}", "command", command_payload(body)))
        except StorageError as error:
            await ack(_sentence(error))
        else:
            await ack()

    async def _on_action(self, ack: AsyncAck, body: Json) -> None:
        payload = click_payload(body)
        try:
            await self._take(Arrival(f"action:{payload['trigger_id']}", "action", payload))
        except StorageError as error:  # what the ack of a click says is shown nowhere
            self._spawn(self._answer(payload, View(_sentence(error))))
        await ack()

    async def _on_view(self, ack: AsyncAck, body: Json) -> None:
        """What is wrong with a form is said in it, before the ack closes it."""
        inputs = [each["block_id"] for each in body["view"].get("blocks", []) if each.get("type") == "input"]
        if body["view"].get("callback_id") not in self._forms.forms.forms:
            await (ack(response_action="errors", errors={inputs[0]: STALE}) if inputs else ack())
            return
        try:
            errors = await self._forms.errors(body) or await self._take_form(body)
        except Exception as error:  # noqa: BLE001  the edge of the process; raised here it is a timeout for people
            identity = secrets.token_hex(2)
            self._spawn(_log_after_the_ack(error, identity))
            errors = {"": f"Something broke on our side (id {identity}). Nothing was changed; use a command instead."}
        told = {block or inputs[0]: sentence for block, sentence in errors.items()} if inputs else {}
        await (ack(response_action="errors", errors=told) if told else ack())

    async def _take_form(self, body: Json) -> dict[str, str]:
        arrival = Arrival(submission_key(body), "view", submission_payload(body))
        try:
            await self._take(arrival, late=lambda: self._spawn(self._handle(arrival)))
        except StorageError as error:
            _log.warning("a form could not be written down", key=arrival.key, error=str(error))
            return {"": _SEND_AGAIN}
        return {}

    async def _on_shortcut(self, ack: AsyncAck, body: Json) -> None:
        asked = place_of(body)
        if body["callback_id"] not in self._forms.forms.shortcuts:
            await ack()
            sentence = "Holdfast has no such shortcut any more. Nothing was changed; try /holdfast help."
            self._spawn(self._answers.say(asked, View(sentence)))
            return
        try:
            await self._take(Arrival(f"shortcut:{body['trigger_id']}", "shortcut", shortcut_payload(body, asked)))
        except StorageError as error:
            self._spawn(self._answers.say(asked, View(_sentence(error))))
        await ack()

    async def _on_event(self, ack: AsyncAck, body: Json) -> BoltResponse | None:
        """An event that cannot be written down is not acked: Slack delivers it again, three times within minutes."""
        if (body["event"]["type"] in self.events or is_removal(body["event"])) and not is_our_own(body):
            arrival = Arrival(f"event:{body['event_id']}", "event", event_payload(body))
            try:
                await self._take(arrival, late=lambda: self._spawn(self._handle(arrival)))
            except StorageError as error:
                _log.warning("an event is left to be delivered again", event_id=body["event_id"], error=str(error))
                return BoltResponse(status=503)
        await ack()
        return None

    async def _no_options(self, ack: AsyncAck) -> None:
        await ack(options=[])

    async def _only_ack(self, ack: AsyncAck) -> None:
        await ack()

    async def _take(self, arrival: Arrival, *, late: Callable[[], None] | None = None) -> None:
        if await self._inbox.take(arrival, late=late):
            self._spawn(self._handle(arrival))
        else:
            _log.info("redelivery dropped", key=arrival.key)

    # Carrying it out

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, arrival: Arrival, *, fresh: bool = True) -> None:
        """The one try/except round everything that people ask for. A form is opened first of all: its trigger lives
        3 s, and after a restart, when the request is not `fresh`, no longer.
        """
        view: View | None = None
        try:
            if not await self._forms.open(arrival, fresh=fresh):
                await self._inbox.start(arrival.key)
                view = await self._whole(arrival)
        except SHOWABLE as error:
            view = View(_sentence(error))
            await self._note_refusal(arrival, error)
        except Exception:  # noqa: BLE001  the edge of the process: logged with an id that the person is given
            view = View(_broken(arrival))
        self._wake()
        await self._answer(arrival.payload, view)
        await self._finish(arrival.key)

    async def _answer(self, place: Json, view: View | None) -> None:
        """To the person alone: in their home tab, where they pressed something there. None: what changed says it."""
        if self._home is not None and "home" in place:
            await self._home.say(place, view)
        elif view is not None and place.get("user_id"):
            await self._answers.say(place, view)

    async def _whole(self, arrival: Arrival) -> View | None:
        """The last message of an answer; what comes before it has been shown by then."""
        view = await self._run(arrival)
        if isinstance(view, Later):
            await self._answer(arrival.payload, view)
            view = await view.then()
        if isinstance(view, Attached):
            client = self._workspaces.of_request(arrival.payload)
            await send_file(client, arrival.payload["user_id"], view)
            return View(f"{view.text} It is in your direct messages with Holdfast.")
        return view

    async def _note_refusal(self, arrival: Arrival, error: Exception) -> None:
        """The audit log has what somebody may not do; that it cannot be written must not hide the refusal."""
        if not isinstance(error, NotAllowedError):
            return
        try:
            actor = await self._actor(arrival.payload)
            await self._services.audit.refused(actor, tried(arrival), error)
        except StorageError as failure:
            _log.warning("a refusal is not in the audit log", error=str(failure))

    async def _actor(self, payload: Json) -> Actor:
        if not payload.get("user_id"):
            return _SLACK
        return await self._people.actor(
            payload["user_id"], payload.get("user_name", ""), payload.get("team_id"), payload.get("workspace_id")
        )

    async def _run(self, arrival: Arrival) -> View | None:
        payload = arrival.payload
        if arrival.kind == "event" and is_removal(payload["event"]):
            await self._remove(payload)
            return None
        await self._learn_roles()
        actor = await self._actor(payload)
        if arrival.kind == "command":
            call = Call(
                actor=actor,
                words=payload.get("text", "").strip(),
                channel=payload.get("channel_id"),
                trigger=payload.get("trigger_id"),
                thread=payload.get("thread_ts"),
            )
            return await self.commands[payload["command"]](self._services, call)
        if arrival.kind == "event":
            return await self._run_event(actor, payload)
        if arrival.kind == "view":
            return await self._forms.submit(actor, payload)
        if arrival.kind == "shortcut":
            return await self._forms.run_shortcut(actor, payload)
        if payload["action_id"] not in self.actions:
            return View(
                "This button belongs to another version of Holdfast. Nothing was changed; use a command instead."
            )
        click = Click(
            actor=actor,
            action=payload["action_id"],
            value=payload["value"],
            channel=payload.get("channel_id"),
            message_ts=payload.get("message_ts"),
            trigger=payload.get("trigger_id"),
        )
        return await self.actions[payload["action_id"]](self._services, click)

    async def _remove(self, payload: Json) -> None:
        """Nobody of that workspace could be answered."""
        team, at = payload["workspace_id"], datetime.fromtimestamp(payload["at"], UTC)
        if self._removed is None:
            _log.warning("Slack has revoked the token of the settings; set HOLDFAST_SLACK_BOT_TOKEN anew", team_id=team)
            return
        try:
            await self._removed(team, at)
        except StorageError as error:
            _log.warning("that a workspace removed Holdfast could not be stored", team_id=team, error=str(error))

    async def _run_event(self, actor: Actor, payload: Json) -> View | None:
        kind = payload["event"]["type"]
        if kind not in self.events:  # taken by an earlier version, before a restart
            return None
        event = Event(
            actor=actor,
            kind=kind,
            body=payload["event"],
            channel=payload.get("channel_id"),
            team=payload.get("workspace_id", ""),
            look=Messages(self._workspaces.of_request(payload)).look,
        )
        return await self.events[kind](self._services, event)

    async def _learn_roles(self) -> None:
        """As they are at the click, not as they were when the message with the button was posted."""
        await self._groups.refresh()
        await self._services.break_glass.refresh()

    async def _tell_interrupted(self, arrival: Arrival, *, begun: bool) -> None:
        what = f"`{escape(typed(arrival))}`"
        if begun:
            sentence = (
                f"Holdfast was restarted while it carried out {what}: it may or may not be done. Look at the present "
                "state, and repeat it if it is not."
            )
        else:
            sentence = f"Holdfast was away when {what} came in. Nothing was changed; repeat it if it still matters."
        await self._answer(arrival.payload, View(sentence))
        await self._finish(arrival.key)

    async def _finish(self, key: str) -> None:
        try:
            await self._inbox.finish(key)
        except StorageError as error:
            _log.warning("not marked as done; the next start will tell of it", key=key, error=str(error))


async def _log_after_the_ack(error: Exception, identity: str) -> None:
    """Bolt sends the ack when its listener has returned, and drawing a traceback on a busy machine takes seconds."""
    await asyncio.sleep(_MOMENT)
    _log.error("a form broke", id=identity, exc_info=error)


def _broken(arrival: Arrival) -> str:
    """Log the exception that is being handled; the sentence for the person, with the id to ask for."""
    identity = secrets.token_hex(2)
    _log.exception("a handler broke", id=identity, request=typed(arrival))
    way = f'holdfast do "{escape(typed(arrival))}"' if arrival.kind == "command" else "holdfast do"
    return (
        f"Something broke on our side (id {identity}). Nothing was changed by halves; try again, or use the terminal: "
        f"`{way}`"
    )


def _sentence(error: Exception) -> str:
    """What a person typed may be part of it: it must not call the whole channel."""
    if isinstance(error, RoleMissingError):
        return str(error)
    return _CALL.sub("&lt;!", str(error))
