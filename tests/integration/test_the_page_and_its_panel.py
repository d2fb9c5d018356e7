"""The panel of the workspace page breaks real relays, and the probe names what was broken."""

import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.demo.certificate import Certificates
from bot.demo.page.panel import Panel
from bot.demo.relays import RelayProcess
from bot.monitor.probe import Limits, Probe, Reason, Stage, Target, probe

HASTY = Limits(greeting=timedelta(seconds=0.5), ehlo=timedelta(seconds=3), starttls=timedelta(seconds=3))
NAMED = {
    "full": (None, None),
    "hang": (Stage.GREETING, Reason.TIMEOUT),
    "421": (Stage.GREETING, Reason.REPLY),
    "refuse": (Stage.CONNECT, Reason.REFUSED),
    "tls": (Stage.STARTTLS, Reason.MALFORMED),
    "expired": (Stage.STARTTLS, Reason.CERTIFICATE_EXPIRED),
    "cut": (None, None),
    "kill": (Stage.CONNECT, Reason.REFUSED),
    "heal": (None, None),
}


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[RelayProcess]:
    made = Certificates(tmp_path, "127.0.0.1")
    log = tmp_path / "relay.jsonl"
    async with RelayProcess(log, name="primary", certificate=made.valid, expired=made.expired) as running:
        yield running


async def _look(relay: RelayProcess, folder: Path) -> Probe:
    trusted = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    return await probe(Target(host=relay.host, port=relay.port, tls="starttls", context=trusted), HASTY)


async def test_whatever_is_broken_on_the_panel_is_named_by_the_probe(relay: RelayProcess, tmp_path: Path) -> None:
    panel = Panel([relay])
    seen = {}
    for how in NAMED:
        await panel.behave("primary", how)
        found = await _look(relay, tmp_path)
        seen[how] = (found.stage, found.reason)
        shown = panel.shown()[0]
        assert (shown["level"] == "good") == (how == "heal"), shown
    assert seen == NAMED


async def test_a_certificate_of_the_demo_is_for_this_machine_and_nobody_else_reads_its_key(
    relay: RelayProcess, tmp_path: Path
) -> None:
    found = await _look(relay, tmp_path)
    assert found.ok, found.sentence
    assert found.certificate_expires is not None
    assert (tmp_path / "relay.pem").stat().st_mode & 0o077 == 0
