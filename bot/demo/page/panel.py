"""The panel beside the channels: how each relay behaves, what it took, and the buttons that break and heal it."""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from bot.demo.fakeslack.workspace import Json
from bot.demo.relays import Fault, RelayProcess, cut, expired, garbage, goodbye, hang, refuse, reply, slow

_SHOWN = 3

# key -> what it is called while it is in force, and its faults
_BEHAVIOURS: Mapping[str, tuple[str, Callable[[], Sequence[Fault]]]] = {
    "full": (
        "disk full: turns away every fifth message with 452",
        lambda: [reply("mail", 452, "4.3.1 Insufficient system storage", every=5)],
    ),
    "slow": ("slow: every answer a second late", lambda: [slow("any", timedelta(seconds=1))]),
    "hang": ("hanging: connections open, no answers", lambda: [hang("any")]),
    "421": ("shutting down: 421 to everybody", lambda: [goodbye()]),
    "refuse": ("refusing connections", lambda: [refuse()]),
    "tls": ("TLS broken: no handshake after STARTTLS", lambda: [garbage()]),
    "expired": ("certificate expired an hour ago", lambda: [expired()]),
    "cut": (
        "cutting: takes every third message, and hangs up before it says so",
        lambda: [cut("dot", accepted=True, every=3)],
    ),
}


class Tail:
    """The truth log of a relay, read on from where it was left, so that a long one costs nothing to look at."""

    def __init__(self, log: Path) -> None:
        self.count = 0
        self.last: deque[Json] = deque(maxlen=_SHOWN)
        self._log = log
        self._at = 0

    def read(self) -> None:
        if not self._log.exists():
            return
        with self._log.open("rb") as file:
            file.seek(self._at)
            fresh = file.read()
        whole = fresh.rfind(b"\n") + 1  # what comes after it is still being written
        self._at += whole
        lines = fresh[:whole].splitlines()
        self.count += len(lines)
        self.last.extend(json.loads(line) for line in lines[-_SHOWN:])


class Panel:
    """The relays by their names."""

    def __init__(self, relays: Sequence[RelayProcess]) -> None:
        self._relays = {relay.name: relay for relay in relays}
        self._tails = {relay.name: Tail(relay.log) for relay in relays}
        self._behaves: dict[str, str] = {}

    async def behave(self, name: str, how: str) -> None:
        """`how` is a key of the behaviours, "kill" or "heal".

        Raises KeyError for what is unknown, ConnectionError when the relay is dead and has to be healed first.
        """
        relay = self._relays[name]
        if how == "kill":
            await relay.kill()
        elif how == "heal":
            await relay.start()
            await relay.heal()
        else:
            _, faults = _BEHAVIOURS[how]
            await relay.behave(*faults())
        self._behaves[name] = how

    def shown(self) -> list[Json]:
        return [self._relay(relay) for relay in self._relays.values()]

    def _relay(self, relay: RelayProcess) -> Json:
        tail = self._tails[relay.name]
        tail.read()
        return {
            "name": relay.name,
            "address": f"{relay.host}:{relay.port}",
            "taken": tail.count,
            "last": [
                {"subject": each["subject"], "to": ", ".join(each["recipients"]), "at": each["at"]}
                for each in reversed(tail.last)
            ],
            **self._state(relay),
        }

    def _state(self, relay: RelayProcess) -> Json:
        """`level` chooses a sign and a colour; the words alone say it all."""
        if not relay.running:
            return {"state": "dead: its process is gone", "level": "bad", "running": False}
        known = _BEHAVIOURS.get(self._behaves.get(relay.name, ""))
        if known is None:
            return {"state": "running", "level": "good", "running": True}
        return {"state": known[0], "level": "bad", "running": True}
