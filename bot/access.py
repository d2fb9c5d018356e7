"""Who may what. Declaring, acknowledging and looking are open to all; what mails customers is not."""

from dataclasses import dataclass
from enum import StrEnum

from bot.bidi import isolated
from bot.config import RoleSettings
from bot.errors import NotAllowedError


class Role(StrEnum):
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
    "campaign.resume": Role.SENDER,
    "campaign.cancel": Role.SENDER,
    "campaign.import": Role.SENDER,
    "server.drain": Role.RESPONDER,
    "server.restore": Role.RESPONDER,
    "server.failover": Role.RESPONDER,
    "server.add": Role.ADMIN,
    "outage.cause": Role.RESPONDER,
    "outage.eta": Role.RESPONDER,
    "outage.resolve": Role.RESPONDER,
    "resend.plan": Role.RESPONDER,
    "resend.pause": Role.RESPONDER,
    "resend.resume": Role.SENDER,
    "resend.cancel": Role.SENDER,
    "resend.approve": Role.APPROVER,
    "notice.draft": Role.RESPONDER,
    "notice.send": Role.SENDER,
    "notice.cancel": Role.SENDER,
    "notice.approve": Role.APPROVER,
    "maintenance.schedule": Role.RESPONDER,
    "maintenance.cancel": Role.RESPONDER,
}
OPEN = frozenset({"look", "outage.declare", "outage.acknowledge", "outage.update"})

_INCLUDES: dict[Role, frozenset[Role]] = {
    Role.RESPONDER: frozenset({Role.RESPONDER}),
    Role.SENDER: frozenset({Role.SENDER, Role.RESPONDER}),
    Role.APPROVER: frozenset({Role.APPROVER, Role.RESPONDER}),
    Role.ADMIN: frozenset(Role),
}


class Access:
    """The roles of the settings, asked at every command and every click."""

    def __init__(self, roles: RoleSettings, admins: list[str]) -> None:
        self._members = {
            Role.RESPONDER: list(roles.responder),
            Role.SENDER: list(roles.sender),
            Role.APPROVER: list(roles.approver),
            Role.ADMIN: [*roles.admin, *admins],
        }

    def roles_of(self, actor: Actor) -> frozenset[Role]:
        # Whoever runs a command on the machine could change the database by hand: the terminal is an admin.
        if actor.source in {"system", "terminal"}:
            return frozenset(Role)
        held: set[Role] = set()
        for role, members in self._members.items():
            if "*" in members or actor.id in members:
                held |= _INCLUDES[role]
        return frozenset(held)

    def allows(self, actor: Actor, permission: str) -> bool:
        if actor.outsider:
            return permission == "look"
        return permission in OPEN or PERMISSIONS[permission] in self.roles_of(actor)

    def require(self, actor: Actor, permission: str) -> None:
        """Raises NotAllowedError, which names the role and who has it."""
        if self.allows(actor, permission):
            return
        if actor.outsider:
            raise NotAllowedError(
                "You are from another workspace, so you may look and no more. Nothing was changed; ask somebody of the "
                "workspace that Holdfast belongs to."
            )
        role = PERMISSIONS[permission]
        holders = [f"<@{member}>" for member in self._members[role]] or [
            f"<@{member}>" for member in self._members[Role.ADMIN]
        ]
        who = f"Ask {', '.join(holders[:5])}." if holders else _nobody(role)
        noun, _, verb = permission.partition(".")
        article = "an" if noun[0] in "aeiou" else "a"
        raise NotAllowedError(f"You may not {verb} {article} {noun}: that needs the role {role}. {who}")


def _nobody(role: Role) -> str:
    return (
        f'Nobody has it yet: add Slack user ids to roles.{role} in holdfast.toml, as {role} = ["U012AB"], or set '
        "HOLDFAST_ADMINS, and restart Holdfast."
    )
