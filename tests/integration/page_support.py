"""An office on the workspace page: a Slack with two people, a relay, and no bot but what a test connects."""

from bot.demo.fakeslack import Channel, FakeSlack, User
from bot.demo.page import Page
from bot.demo.page.shortcuts import Shortcut
from bot.demo.relays import RelayProcess

SHORTCUTS = [
    Shortcut("note.this", "Keep this message", message=True),
    Shortcut("declare.it", "Declare an outage", "Opens a form"),
]


class Office:
    """A Slack with two people, a relay, and the page over them."""

    def __init__(self, slack: FakeSlack, relay: RelayProcess) -> None:
        self.slack = slack
        self.ops: Channel = slack.add_channel("email-ops")
        self.maria: User = slack.add_user("maria", real_name="Maria", tz="America/New_York")
        self.jonas: User = slack.add_user("jonas", real_name="Jonas", tz="Asia/Kolkata")
        self.relay = relay
        self.page = Page(slack, [self.maria, self.jonas], [relay], SHORTCUTS)

    @property
    def origin(self) -> str:
        return "/".join(self.page.url.split("/")[:3])
