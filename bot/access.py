"""Who may what. Declaring, acknowledging and looking are open to all; what mails customers is not.

Roles come from the settings, which name people and Slack's user groups, and from a glass that somebody broke. What
changes outside of the settings is learnt before every command and every click, so that asking needs no waiting.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from bot.bidi import isolated
from bot.clock import now
from bot.config import BreakGlassSettings, RoleSettings
from bot.errors import NotAllowedError, RoleMissingError


class Role(StrEnum):
    VIEWER = "viewer"
    RESPONDER = "responder"
    SENDER = "sender"
    APPROVER = "approver"
    ADMIN = "admin"


@dataclass(frozen=True)
class Actor:
    """Somebody who acts: a person in Slack, a person at the terminal, or Holdfast itself."""

    id: str
    name: str
    source: str = "slack"
    """slack, terminal or system."""
    zone: str = "UTC"
    """The person's IANA time zone."""
    outsider: bool = False
    """From another workspace, in a channel that is shared with it (Slack Connect): may look, and no more."""
    workspace: str = ""
    """The name of the workspace they are of, where it is not the one with the channel of the outages."""

    @property
    def mention(self) -> str:
        """How a message names them. Slack may not know a person of another workspace, so their name stands beside."""
        if self.source != "slack":
            return isolated(self.name)
        beside = f" ({isolated(self.name)} of {isolated(self.workspace)})" if self.workspace else ""
        return f"<@{self.id}>{beside}"


HOLDFAST = Actor(id="holdfast", name="Holdfast", source="system")

# What each role adds. Whatever is not listed here is open to everybody.
PERMISSIONS: dict[str, Role] = {
    "campaign.pause": Role.RESPONDER,
    "campaign.start": Role.SENDER,
    "campaign.next": Role.SENDER,
    "campaign.resume": Role.SENDER,
    "campaign.cancel": Role.SENDER,
    "campaign.import": Role.SENDER,
    "campaign.approve": Role.APPROVER,
    "server.drain": Role.RESPONDER,
    "server.restore": Role.RESPONDER,
    "server.failover": Role.RESPONDER,
    "server.add": Role.ADMIN,
    "outage.cause": Role.RESPONDER,
    "outage.eta": Role.RESPONDER,
    "outage.severity": Role.RESPONDER,
    "outage.remind": Role.RESPONDER,
    "outage.resolve": Role.RESPONDER,
    "resend.plan": Role.RESPONDER,
    "resend.pause": Role.RESPONDER,
    "resend.resume": Role.SENDER,
    "resend.next": Role.SENDER,
    "resend.cancel": Role.SENDER,
    "resend.delivered": Role.SENDER,
    "resend.approve": Role.APPROVER,
    "notice.draft": Role.RESPONDER,
    "notice.send": Role.SENDER,
    "notice.cancel": Role.SENDER,
    "notice.approve": Role.APPROVER,
    "maintenance.schedule": Role.RESPONDER,
    "maintenance.cancel": Role.RESPONDER,
    "glass.break": Role.RESPONDER,
    "audit.export": Role.APPROVER,
}
OPEN = frozenset({
    "look", "outage.declare", "outage.acknowledge", "outage.update", "audit.read", "holdfast.check",
})  # fmt: skip
VIEWING = frozenset({"look", "outage.declare", "outage.acknowledge", "audit.read", "holdfast.check"})
"""What a viewer may."""

_INCLUDES: dict[Role, frozenset[Role]] = {
    Role.RESPONDER: frozenset({Role.RESPONDER}),
    Role.SENDER: frozenset({Role.SENDER, Role.RESPONDER}),
    Role.APPROVER: frozenset({Role.APPROVER, Role.RESPONDER}),
    Role.ADMIN: frozenset(Role),
}
_ONLY_VIEWER = frozenset({Role.VIEWER})
# Where the permission's own words make no English.
_PHRASES = {
    "outage.cause": "say the cause of an outage",
    "outage.eta": "say when an outage ends",
    "outage.update": "tell what is new of an outage",
    "server.failover": "fail over a server",
    "resend.delivered": "count unknown deliveries as delivered",
    "glass.break": "break the glass",
}
_MOST_NAMES = 5
_MEMBER_ID = re.compile(r"[UW][A-Z0-9]+", re.ASCII)
_GROUP_ID = re.compile(r"S[A-Z0-9]{5,}", re.ASCII)


def is_group(word: str) -> bool:
    """Whether a word of the settings names a user group: by its handle, `@email-approvers`, or its id, `S012AB...`."""
    return word.startswith("@") or _GROUP_ID.fullmatch(word) is not None


def is_person(word: str) -> bool:
    """Whether a word of the settings is a member id of Slack's."""
    return _MEMBER_ID.fullmatch(word) is not None


class Group(NamedTuple):
    """A user group of Slack's, as it was when somebody last looked."""

    id: str
    members: frozenset[str]


@dataclass(frozen=True)
class Groups:
    """The user groups that can be relied on, by the word of the settings; `trouble` says why others cannot."""

    known: Mapping[str, Group] = field(default_factory=dict)
    trouble: str | None = None


class Glass(NamedTuple):
    """Somebody broke the glass: until then they have the role sender."""

    id: int
    until: datetime


class Access:
    """The roles, asked at every command and every click.

    `glass` says who may break the glass; without it nobody may.
    """

    def __init__(self, roles: RoleSettings, admins: list[str], glass: BreakGlassSettings | None = None) -> None:
        self._members = {
            Role.VIEWER: list(roles.viewer),
            Role.RESPONDER: list(roles.responder),
            Role.SENDER: list(roles.sender),
            Role.APPROVER: list(roles.approver),
            Role.ADMIN: [*roles.admin, *admins],
        }
        self._breakers = list(glass.who) if glass else []
        self._groups = Groups()
        self._glasses: Mapping[str, Glass] = {}

    # What is learnt from outside of the settings

    @property
    def group_words(self) -> tuple[str, ...]:
        """The user groups that the settings name, each once."""
        words = [word for members in [*self._members.values(), self._breakers] for word in members if is_group(word)]
        return tuple(dict.fromkeys(words))

    def learn_groups(self, groups: Groups) -> None:
        self._groups = groups

    def learn_glasses(self, glasses: Mapping[str, Glass]) -> None:
        """Who has broken the glass, by Slack id."""
        self._glasses = glasses

    # Who has what

    def roles_of(self, actor: Actor) -> frozenset[Role]:
        # Whoever runs a command on the machine could change the database by hand: the terminal is an admin.
        if actor.source in {"system", "terminal"}:
            return frozenset(Role)
        held = self._settled(actor)
        # A glass is for responders: one who is no responder any more has lost it.
        if Role.RESPONDER in held and self.glass_of(actor) is not None:
            held |= _INCLUDES[Role.SENDER]
        return held

    def glass_of(self, actor: Actor) -> Glass | None:
        """The glass that they have broken, while it lasts."""
        glass = self._glasses.get(actor.id) if actor.source == "slack" else None
        return glass if glass is not None and glass.until > now() else None

    def _settled(self, actor: Actor) -> frozenset[Role]:
        """What the settings and the groups give."""
        viewer = self._is_among(self._members[Role.VIEWER], actor.id) or "*" in self._members[Role.VIEWER]
        held: frozenset[Role] = frozenset()
        for role, included in _INCLUDES.items():
            by_star = "*" in self._members[role] and not viewer and not self._may_be_viewer(role)
            if by_star or self._is_among(self._members[role], actor.id):
                held |= included
        return held or (_ONLY_VIEWER if viewer else held)

    def _is_among(self, members: list[str], user_id: str) -> bool:
        known = self._groups.known
        return user_id in members or any(user_id in known[word].members for word in members if word in known)

    def _may_be_viewer(self, role: Role) -> bool:
        """While a group of viewers cannot be read, `*` gives nobody the right to mail customers: it may be a viewer."""
        return role != Role.RESPONDER and bool(self._unread(Role.VIEWER))

    def _unread(self, role: Role) -> list[str]:
        return [word for word in self._members[role] if is_group(word) and word not in self._groups.known]

    def allows(self, actor: Actor, permission: str) -> bool:
        if actor.outsider:
            return permission == "look"
        roles = self.roles_of(actor)
        if permission in OPEN:
            return permission in VIEWING or roles != _ONLY_VIEWER
        return PERMISSIONS[permission] in roles

    def may_break(self, actor: Actor) -> bool:
        """Whether they may break the glass: a responder of the workspace, among those whom the settings let."""
        if actor.source != "slack" or not self.allows(actor, "glass.break"):
            return False
        return "*" in self._breakers or self._is_among(self._breakers, actor.id)

    def require(self, actor: Actor, permission: str) -> None:
        """Raises RoleMissingError, which names the role and who has it, or NotAllowedError for an outsider."""
        if self.allows(actor, permission):
            return
        if actor.outsider:
            raise NotAllowedError(
                "You are from another workspace, so you may look and no more. Nothing was changed; ask somebody of the "
                "workspace that Holdfast belongs to."
            )
        role = PERMISSIONS.get(permission, Role.RESPONDER)
        viewer = " You are a viewer: you may look, declare and acknowledge." if self._is_viewer(actor) else ""
        raise RoleMissingError(
            f"You may not {_phrase(permission)}: that needs the role {role}.{viewer} {self.ask(role)}"
            f"{self._emergency(actor, role)}"
        )

    def _is_viewer(self, actor: Actor) -> bool:
        return self.roles_of(actor) == _ONLY_VIEWER

    def _emergency(self, actor: Actor, role: Role) -> str:
        if role != Role.SENDER or not self.may_break(actor):
            return ""
        return " If nobody answers and it cannot wait: /holdfast break-glass REASON"

    # Naming who may

    def holders(self, permission: str) -> tuple[str, ...]:
        """Who may, as messages name them: mentions, or `everybody`. Empty when nobody has the role."""
        members = [*self._members[PERMISSIONS[permission]], *self._members[Role.ADMIN]]
        if "*" in members:
            return ("everybody",)
        return tuple(dict.fromkeys(self._mention(member) for member in members))

    def ask(self, role: Role) -> str:
        """`Ask <@U1> or <!subteam^S1>.`, with what keeps a group from counting; what to set when nobody has it."""
        members = self._members[role] or self._members[Role.ADMIN]
        if not members:
            return _nobody(role)
        unread = [word for word in self._unread(role) if not word.startswith("@")]
        named = list(dict.fromkeys(self._mention(member) for member in members if member not in unread))
        more = f" and {len(named) - _MOST_NAMES} more" if len(named) > _MOST_NAMES else ""
        who = f"Ask {', '.join(named[:_MOST_NAMES])}{more}." if named else ""
        return f"{who}{self._why_unread(role)}".strip()

    def _why_unread(self, role: Role) -> str:
        if not self._unread(role):
            return ""
        why = self._groups.trouble or "Slack has not been asked yet."
        return f" {why} Until then only people whom the settings name themselves have that role."

    def _mention(self, word: str) -> str:
        if word == "*":
            return "anybody who is no viewer"
        if word in self._groups.known:
            return f"<!subteam^{self._groups.known[word].id}>"
        if is_group(word):
            return word if word.startswith("@") else f"<!subteam^{word}>"
        return f"<@{word}>"


def _phrase(permission: str) -> str:
    noun, _, verb = permission.partition(".")
    article = "an" if noun[0] in "aeiou" else "a"
    return _PHRASES.get(permission, f"{verb} {article} {noun}")


def _nobody(role: Role) -> str:
    return (
        f'Nobody has it yet: add Slack user ids or groups to roles.{role} in holdfast.toml, as {role} = ["U012AB"], or '
        "set HOLDFAST_ADMINS, and restart Holdfast."
    )
