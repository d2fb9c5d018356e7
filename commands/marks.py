"""Pins and the reaction :round_pushpin: put a message of an outage's thread into its timeline; taking them off takes it
out. The newest event of a mark counts, however late and in whatever order they come.
"""

from dataclasses import replace

from bot.services.bundle import Services
from bot.slack.blocks import View
from bot.slack.call import Event, EventHandler
from bot.slack.messages import moment_of
from bot.slack.views.replies import said
from commands.words import tidy
from storage.marks import Place

REACTION = "round_pushpin"


async def _changed(services: Services, event: Event) -> View | None:
    place, how = _place(event), _how(event)
    if place is None or how is None or not await services.messages.concerns(place.channel):
        return None
    at = moment_of(event.body["event_ts"])
    if event.kind.endswith("_removed"):
        text = await services.messages.take_off(event.actor, place, how, at)
    else:
        message = await event.look(place.channel, place.ts)
        marked = await services.messages.add(event.actor, replace(message, text=tidy(message.text)), how, at)
        text = marked.text if marked else None
    return said(text) if text else None


def _place(event: Event) -> Place | None:
    """The message; None for a file."""
    item = event.body.get("item") or {}
    ts = item.get("ts") or (item.get("message") or {}).get("ts")
    channel = item.get("channel") or event.channel
    return Place(channel, ts) if item.get("type") == "message" and ts and channel else None


def _how(event: Event) -> str | None:
    """A message has one pin, whoever put it there, and a reaction of each person."""
    if event.kind.startswith("pin_"):
        return "pin"
    return f"reaction:{event.actor.id}" if event.body.get("reaction") == REACTION else None


_KINDS = ("pin_added", "pin_removed", "reaction_added", "reaction_removed")
EVENTS: dict[str, EventHandler] = dict.fromkeys(_KINDS, _changed)
