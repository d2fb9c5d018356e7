"""A small world for stories about outages: two relays that can be broken, all services, and the watch."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from structlog.testing import capture_logs

from bot.access import Actor
from bot.demo.relays import Relay, refuse
from bot.services.bundle import Services, build
from bot.services.watching import Watch
from storage import outages
from storage.db import Database
from storage.models import Campaign, Health, Outage, Post, Server, Timeline
from tests.seeds import add_campaign, add_server, settings_for

MARIA = Actor(id="U0MARIA", name="maria", zone="Europe/Madrid")
BEN = Actor(id="U0BEN", name="ben")
FAST = {
    "interval": 0.001,
    "retry_interval": 0.001,
    "hold": 0,
    "stage_timeout": 2,
    "sending_failures_to_open": 20,
}
"""Every tick looks at every server, and a server is up again after two passes."""


@dataclass
class World:
    db: Database
    services: Services
    watch: Watch
    relay: Relay
    backup_relay: Relay
    primary: int
    backup: int

    async def ticks(self, number: int) -> None:
        for _ in range(number):
            await self.watch.tick()

    async def break_primary(self, *, look: bool = True) -> None:
        """Nothing listens any more; with `look` the watch has seen it often enough."""
        await self.relay.behave(refuse())
        if look:
            await self.until_health("primary", Health.DOWN)

    async def heal_primary(self, *, look: bool = True) -> None:
        await self.relay.heal()
        if look:
            await self.until_health("primary", Health.UP)

    async def until_health(self, name: str, health: Health) -> None:
        async def so() -> bool:
            return (await self.server(name)).health == health

        await self.ticking_until(so)

    async def ticking_until(self, so: Callable[[], Awaitable[bool]], within: float = 20) -> None:
        async with asyncio.timeout(within):
            while not await so():
                await self.watch.tick()

    async def campaign(self, recipients: int = 10, *, name: str = "spring-sale", on_backup: bool = False) -> int:
        return await add_campaign(self.db, self.backup if on_backup else self.primary, recipients, name=name)

    async def server(self, name: str) -> Server:
        async with self.db.read() as tx:
            return (await tx.scalars(select(Server).where(Server.name == name))).one()

    async def campaign_row(self, campaign_id: int) -> Campaign:
        async with self.db.read() as tx:
            return await tx.get_one(Campaign, campaign_id)

    async def outages(self) -> list[Outage]:
        async with self.db.read() as tx:
            return list(await tx.scalars(select(Outage).order_by(Outage.id)))

    async def unresolved(self) -> list[Outage]:
        async with self.db.read() as tx:
            return list(await outages.unresolved(tx))

    async def kinds(self, prefix: str = "") -> list[str]:
        """The timeline in order, as its kinds."""
        return [entry.kind for entry in await self.entries() if entry.kind.startswith(prefix)]

    async def entries(self) -> list[Timeline]:
        async with self.db.read() as tx:
            return list(await tx.scalars(select(Timeline).order_by(Timeline.id)))

    async def said(self, kind: str) -> list[str]:
        return [entry.text for entry in await self.entries() if entry.kind == kind]

    async def posts(self, prefix: str) -> list[Post]:
        async with self.db.read() as tx:
            return list(await tx.scalars(select(Post).where(Post.key.startswith(prefix)).order_by(Post.id)))


@asynccontextmanager
async def world(db: Database, folder: Path, **sections: object) -> AsyncIterator[World]:
    """Sections of the settings are given as dictionaries; probes are fast unless said otherwise."""
    probes = {**FAST, **_section(sections.pop("probes", {}))}
    sections.setdefault("roles", {"sender": ["*"]})
    settings = settings_for(str(db.url), folder, probes=probes, **sections)
    async with Relay() as relay, Relay() as backup_relay:
        services = build(db, settings)
        backup = await add_server(db, "backup", backup_relay.port)
        primary = await add_server(db, "primary", relay.port, backup_id=backup)
        watch = Watch(db, settings, services.servers, services.outages)
        with capture_logs() as logged:
            yield World(db, services, watch, relay, backup_relay, primary, backup)
        assert [entry for entry in logged if entry["log_level"] == "error"] == []


def _section(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value
