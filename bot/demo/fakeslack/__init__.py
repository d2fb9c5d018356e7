"""A strict fake Slack, for the tests and the demo; the real slack_sdk and Bolt work against it.

Web API, Socket Mode, signed HTTP delivery and response URLs, with Slack's limits checked and faults on demand.
It stands in one event loop; apps in other processes reach it over 127.0.0.1.
"""

from bot.demo.fakeslack.delivery import Delivery
from bot.demo.fakeslack.fake import DEFAULT_SCOPES, METHOD_SCOPES, FakeSlack, says
from bot.demo.fakeslack.limits import block_problems, metadata_problems, view_problems
from bot.demo.fakeslack.server import MadeCall
from bot.demo.fakeslack.workspace import Channel, Message, PersonCannotError, User, UserGroup, View, Workspace

__all__ = [
    "DEFAULT_SCOPES",
    "METHOD_SCOPES",
    "Channel",
    "Delivery",
    "FakeSlack",
    "MadeCall",
    "Message",
    "PersonCannotError",
    "User",
    "UserGroup",
    "View",
    "Workspace",
    "block_problems",
    "metadata_problems",
    "says",
    "view_problems",
]
