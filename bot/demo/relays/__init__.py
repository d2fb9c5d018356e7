"""SMTP servers that can be broken on demand, for the demo and for tests. They keep the truth of who got what."""

from bot.demo.relays.desk import Profile
from bot.demo.relays.faults import (
    Fault,
    Stage,
    cut,
    endless,
    expired,
    garbage,
    goodbye,
    hang,
    refuse,
    reply,
    slow,
)
from bot.demo.relays.process import RelayProcess
from bot.demo.relays.relay import Relay
from bot.demo.relays.truth import Received, read_truth

__all__ = [
    "Fault",
    "Profile",
    "Received",
    "Relay",
    "RelayProcess",
    "Stage",
    "cut",
    "endless",
    "expired",
    "garbage",
    "goodbye",
    "hang",
    "read_truth",
    "refuse",
    "reply",
    "slow",
]
