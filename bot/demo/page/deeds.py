"""What a person does on the page, handed to the people of the fake Slack or to the relays."""

from bot.demo.fakeslack import Channel, Delivery, FakeSlack, Message, PersonCannotError, User, View
from bot.demo.fakeslack.workspace import Json
from bot.demo.page.panel import Panel

_SAID_BY_SLACK = {
    "operation_timeout": "Holdfast did not answer in three seconds (operation_timeout). It may do it all the same.",
    "dispatch_failed": "Holdfast is not connected, so Slack could not hand this over (dispatch_failed).",
}


class Deeds:
    """`do` carries one out. Raises PersonCannotError or ConnectionError, as sentences, and KeyError for nonsense."""

    def __init__(self, slack: FakeSlack, panel: Panel) -> None:
        self._slack = slack
        self._panel = panel

    async def do(self, me: User, deed: Json) -> None:
        match deed["do"]:
            case "write":
                await self._write(me, deed)
            case "click":
                await self._click(me, deed)
            case "submit":
                _check(await self._slack.submit_view(me, self._view(me, deed["view"]), deed["values"]))
            case "close":
                _check(await self._slack.close_view(me, self._view(me, deed["view"])))
            case "home":
                _check(await self._slack.open_home(me))
            case "shortcut":
                target = self._target(me, deed) if deed.get("ts") else None
                _check(await self._slack.shortcut(me, deed["callback"], target))
            case "react":
                use = self._slack.react if deed["on"] else self._slack.unreact
                _check(await use(me, self._target(me, deed), deed["name"]))
            case "pin":
                pin = self._slack.pin if deed["on"] else self._slack.unpin
                _check(await pin(me, self._target(me, deed)))
            case "relay":
                await self._panel.behave(deed["name"], deed["how"])
                self._slack.workspace.changed()
            case other:
                raise KeyError(other)

    async def _write(self, me: User, deed: Json) -> None:
        """A command when it begins with a slash; else a message, in a thread where `thread` names one."""
        channel, text = self._channel(me, deed["channel"]), deed["text"].strip()
        if not text:
            raise PersonCannotError("There is nothing to send.")
        if text.startswith("/"):
            _check(await self._slack.command(me, channel, text))
            return
        thread = channel.find(deed["thread"]) if deed.get("thread") else None
        await self._slack.say(me, channel, text, thread_of=thread)

    async def _click(self, me: User, deed: Json) -> None:
        target = self._view(me, deed["view"]) if deed.get("view") else self._target(me, deed)
        # An edit names anew the blocks that have no name of their own: the button may still be there.
        block = next((each["block_id"] for each in target.blocks if each["block_id"] == deed["block"]), None)
        action, value = deed["action"], deed.get("value")
        try:
            delivery = await self._slack.click(me, target, action, value=value, block_id=block)
        except PersonCannotError:
            if isinstance(target, View):
                raise
            # The message was edited in this moment: Slack hands the app what was pressed on the old one.
            delivery = await self._slack.click(me, target, action, value=value, stale=True)
        _check(delivery)

    def _target(self, me: User, deed: Json) -> Message:
        return self._message(me, self._channel(me, deed["channel"]), deed["ts"])

    def _channel(self, me: User, identity: str) -> Channel:
        channel = self._slack.workspace.channels[identity]
        if not channel.has(me):
            raise PersonCannotError(f"{me.real_name} is not in this conversation.")
        return channel

    def _message(self, me: User, channel: Channel, ts: str) -> Message:
        every = [*channel.all_messages, *self._slack.ephemerals(me)]
        found = next((each for each in every if each.ts == ts and each.channel is channel and not each.deleted), None)
        if found is None:
            raise PersonCannotError("This message is gone.")
        return found

    def _view(self, me: User, identity: str) -> View:
        home = self._slack.home(me)
        every = [*self._slack.open_views(me), *([home] if home else [])]
        found = next((each for each in every if each.id == identity), None)
        if found is None:
            raise PersonCannotError("This view is closed already.")
        return found


def _check(delivery: Delivery | None) -> None:
    if delivery is not None and delivery.error is not None:
        raise PersonCannotError(_SAID_BY_SLACK.get(delivery.error, f"Slack says: {delivery.error}."))
