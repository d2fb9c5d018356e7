"""Servers: the answers of `/server`, and the sentences of its verbs."""

from typing import Any

from bot.access import HOLDFAST
from bot.services import server_results as results
from bot.services.provider_paces import SlowedProvider
from bot.services.server_results import Return, ServerRow
from bot.slack.views import replies, servers
from storage.models import Maintenance, Outage
from tests.gallery.scene import Scenes, each
from tests.gallery.things import BEN, HOSTILE, NIGHT, server

BROKEN: dict[str, Any] = {
    "health": "down",
    "last_stage": "greeting",
    "last_code": 421,
    "last_text": "4.3.2 shutting down",
}
OUTAGE = Outage(id=3)
RETURN = Return(0.4, NIGHT.replace(hour=3, minute=20), "backup")
WINDOW = Maintenance(id=4, ends_at=NIGHT.replace(hour=5))


def slow(name: str, rate: float, reply: str, **changes: Any) -> SlowedProvider:
    values: dict[str, Any] = {"workers": 1, "since": NIGHT, "put_off_at": NIGHT, "rests_until": NIGHT}
    return SlowedProvider(name, rate, reply=reply, **(values | changes))


def row(
    name: str = "primary", state: str = "up", *, campaigns: tuple[str, ...] = ("spring-sale",), **changes: Any
) -> ServerRow:
    values: dict[str, Any] = {"window": None, "outage": None, "backup": None, "carrier": None, "carries_for": ()}
    values |= {"slowed": (), "at": None, "part": None, "returns": None}
    of_server = {key: changes.pop(key) for key in set(changes) - set(values)}
    return ServerRow(server(name, **of_server), state, campaigns=campaigns, **(values | changes))


SLOWED = (
    slow("gmail.com", 12.0, "421 4.7.28 Our system has detected an unusual rate of mail", workers=2),
    slow("yahoo.com", 0.2, "421 4.7.0 [TSS04] Messages temporarily deferred", rests_until=NIGHT.replace(minute=17)),
    slow("corp.example", 1.5, HOSTILE, since=NIGHT.replace(hour=2)),
)

STATES: dict[str, ServerRow] = {
    "up": row(),
    "up, carries for another": row("backup", carries_for=("primary",), campaigns=()),
    "suspected": row("second", "suspected", **(BROKEN | {"health": "suspected"})),
    "down, with a backup": row("third", "down", outage=OUTAGE, backup="backup", **BROKEN),
    "down, without a backup": row("fourth", "down", outage=OUTAGE, campaigns=(), **BROKEN),
    "down, carried by its backup": row("fifth", "down", outage=OUTAGE, backup="backup", carrier="backup", **BROKEN),
    "maintenance": row("sixth", "maintenance", window=WINDOW, campaigns=()),
    "drained": row("seventh", "drained", drained_by=BEN, campaigns=()),
    "unchecked": row(
        "eighth", "unchecked", health="unchecked", health_since=None, last_probe_at=None, last_ms=None, tls="none"
    ),
    "at an IPv6 address, with many campaigns": row(
        "ninth", host="2001:db8::25", campaigns=tuple(f"mailing-{number:03}" for number in range(1, 501))
    ),
    "of a pool": row("relay-a", pool="marketing", weight=3, part=0.75),
    "of a pool, left out": row("relay-b", "down", pool="marketing", weight=1, part=0.0, outage=OUTAGE, **BROKEN),
    "returning": row("eleventh", backup="backup", returns=RETURN),
    "with a reply that others wrote": row("tenth", "down", **(BROKEN | {"last_text": HOSTILE})),
}
SLOW: dict[str, ServerRow] = {
    "slowed by one provider": row(slowed=SLOWED[:1], at=NIGHT),
    "slowed by three": row(slowed=SLOWED, at=NIGHT),
    "slowed by many": row(slowed=[slow(f"d{number}.example", 5, "450 slow down") for number in range(40)], at=NIGHT),
}
MANY = [row(f"server-{number:03}", "up" if number % 3 else "down") for number in range(1, 501)]

SAID: dict[str, str] = {
    "drain": results.drain_text("primary", "backup", ["spring-sale"], [], "", 12),
    "drain, two campaigns": results.drain_text("primary", "backup", ["spring-sale", "welcome"], [], "", 12),
    "drain, no backup": results.drain_text("primary", None, [], ["spring-sale"], "It has no backup.", 12),
    "drain, nothing was sending": results.drain_text("primary", "backup", [], [], "", 12),
    "failover": results.failover_text("primary", "backup", ["spring-sale"], ["spring-sale"], 12),
    "drain, of a pool": results.drain_text(
        "relay-a", "relay-b and relay-c (pool marketing)", ["spring-sale"], [], "", 12
    ),
    "failover, of a pool": results.failover_text("relay-a", "backup", ["spring-sale"], [], 12, "marketing"),
    "restore, slowly": results.restore_text("primary", ["spring-sale"], [], 12, RETURN, NIGHT),
    "thread: restored by policy": results.restored_text("primary", HOLDFAST, RETURN, 12, NIGHT),
    "failover, no campaign": results.failover_text("primary", "backup", [], [], 12),
    "restore": results.restore_text("primary", ["spring-sale", "welcome"], ["welcome"], 12),
    "restore, no campaign": results.restore_text("primary", [], [], 12),
}

SCENES: Scenes = {
    "/server list: empty": lambda: servers.listing([]),
    "/server list: one": lambda: servers.listing([row()]),
    "/server list: each state": lambda: servers.listing(list(STATES.values())),
    "/server list: 500": lambda: servers.listing(MANY),
    "/server list: 500, the last page": lambda: servers.listing(MANY, page=13),
    **each("/server status", servers.status, STATES | SLOW),
    **each("/server", replies.said, SAID),
}
