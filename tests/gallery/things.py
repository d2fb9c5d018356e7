"""The people, servers, campaigns and counts that stand in the gallery. Nothing of it is in a database."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from storage.models import Approval, Campaign, DeliveryStatus, Server

NIGHT = datetime(2026, 5, 4, 3, 12, tzinfo=UTC)
ANA, BEN, MARIA = "<@U0ANA>", "<@U0BEN>", "<@U0MARIA>"
NAMES: Mapping[str, str] = {"U0ANA": "Ana", "U0BEN": "Ben", "U0MARIA": "María", "S0SENDERS": "email-senders"}
HASH = "ab" * 32
# What people and servers may write: calls of a whole channel, links, markup, emoji, letters from right to left.
HOSTILE = "<!channel> <https://evil.example|click> *bold* & `code` 🎉 شكرا"


def counts(**changes: int) -> dict[str, int]:
    """Delivery status -> count; what is not named is 0."""
    return {status.value: 0 for status in DeliveryStatus} | changes


def server(name: str = "primary", **changes: Any) -> Server:
    values: dict[str, Any] = {
        "id": 1,
        "host": "mx1.example.com",
        "port": 25,
        "tls": "starttls",
        "max_connections": 10,
        "health": "up",
        "health_since": NIGHT,
        "last_probe_at": NIGHT,
        "last_ms": 42,
    }
    return Server(name=name, **(values | changes))


def campaign(name: str = "spring-sale", state: str = "sending", **changes: Any) -> Campaign:
    values: dict[str, Any] = {
        "id": 7,
        "state": state,
        "state_since": NIGHT,
        "wish": state if state != "pausing" else "paused",
        "recipients": 2000,
        "slipped": 0,
        "subject": "Spring sale: 20 % off",
        "created_by": MARIA,
        "created_at": NIGHT,
    }
    return Campaign(name=name, **(values | changes))


def approval(subject: str, state: str = "pending", **changes: Any) -> Approval:
    values: dict[str, Any] = {
        "id": 1,
        "subject_id": 4,
        "plan_hash": HASH,
        "requested_by": MARIA,
        "requested_at": NIGHT,
        "expires_at": NIGHT.replace(hour=5),
        "decided_by": None if state == "pending" else ANA,
    }
    return Approval(subject=subject, state=state, **(values | changes))
