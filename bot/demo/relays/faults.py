"""What can be wrong with a relay: one fault is one dataclass, made by one of the verbs below.

    await relay.behave(reply("mail", 452, "4.3.1 Insufficient system storage", every=3))
    await relay.behave(slow("data", timedelta(seconds=2)), cut("dot", accepted=True, after=700))

A fault strikes at a stage, for some of the chances it gets there; the first of several that strikes wins.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from typing import Any, Literal, TypedDict, Unpack, cast

Stage = Literal["connect", "greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "dot", "quit", "any"]
Action = Literal["refuse", "reply", "hang", "cut", "slow", "endless", "garbage", "expired"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong, when, and for whom.

    `after` chances pass untouched; of the rest every `every`-th is struck, or a `share` of them drawn with
    `seed`, at most `times` times. With `recipients`, only chances that concern one of them count.
    `accepted` matters at the final dot only: the message was taken (and is in the truth log) all the same.
    """

    stage: Stage
    action: Action
    code: int = 0
    text: str = ""
    close: bool = False
    reset: bool = False
    at_once: bool = False
    accepted: bool = False
    delay: timedelta = timedelta(0)
    after: int = 0
    every: int = 1
    share: float = 1.0
    seed: int = 0
    times: int | None = None
    recipients: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "delay": self.delay.total_seconds(),
            "recipients": sorted(self.recipients),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Fault":
        known = {field.name for field in fields(cls)}
        if unknown := set(data) - known:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        changed = {"delay": timedelta(seconds=data["delay"]), "recipients": frozenset(data["recipients"])}
        return cls(**{**data, **changed})


class Aim(TypedDict, total=False):
    """Which chances a fault takes; the fields of Fault by the same names."""

    delay: timedelta
    after: int
    every: int
    share: float
    seed: int
    times: int | None
    recipients: frozenset[str]


def refuse() -> Fault:
    """The listener is closed (connection refused) and every open connection is reset."""
    return Fault(stage="connect", action="refuse")


def reply(
    stage: Stage, code: int, text: str, *, close: bool = False, accepted: bool = False, **aim: Unpack[Aim]
) -> Fault:
    """Answers `code text` at a stage; a line feed in the text makes the reply multi-line.

    A code below 400 takes the ordinary course and only changes the words.
    """
    taken = accepted or code < 400
    return Fault(stage=stage, action="reply", code=code, text=text, close=close, accepted=taken, **aim)


def goodbye(text: str = "4.3.2 Service shutting down") -> Fault:
    """421 to every open connection at this moment, and to whoever comes; then they are closed."""
    return Fault(stage="any", action="reply", code=421, text=text, close=True, at_once=True)


def hang(stage: Stage, *, accepted: bool = False, **aim: Unpack[Aim]) -> Fault:
    """No answer, ever, and the connection stays open."""
    return Fault(stage=stage, action="hang", accepted=accepted, **aim)


def cut(stage: Stage, *, reset: bool = False, accepted: bool = False, **aim: Unpack[Aim]) -> Fault:
    """The connection ends instead of the answer: in order (FIN), or with `reset` by RST."""
    return Fault(stage=stage, action="cut", reset=reset, accepted=accepted, **aim)


def slow(stage: Stage, wait: timedelta, **aim: Unpack[Aim]) -> Fault:
    """The right answer, late. At the final dot the message is taken before the wait, as servers do."""
    return replace(Fault(stage=stage, action="slow", accepted=True, **aim), delay=wait)


def endless(stage: Stage, *, accepted: bool = False, **aim: Unpack[Aim]) -> Fault:
    """An answer whose line never ends."""
    return Fault(stage=stage, action="endless", accepted=accepted, **aim)


def garbage(**aim: Unpack[Aim]) -> Fault:
    """Says it is ready for TLS, then sends something that is no handshake."""
    return Fault(stage="starttls", action="garbage", **aim)


def expired(**aim: Unpack[Aim]) -> Fault:
    """Encrypts with a certificate whose time is over; the relay must have one."""
    return Fault(stage="starttls", action="expired", **aim)


class _Armed:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._seen = 0
        self._struck = 0
        self._random = random.Random(fault.seed)

    def strikes(self, recipients: Iterable[str]) -> bool:
        fault = self.fault
        if fault.recipients and fault.recipients.isdisjoint(recipients):
            return False
        self._seen += 1
        chance = self._seen - fault.after
        if chance <= 0 or chance % fault.every or (fault.times is not None and self._struck >= fault.times):
            return False
        if fault.share < 1 and self._random.random() >= fault.share:
            return False
        self._struck += 1
        return True


class Faults:
    """The faults in force, with their counts."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []

    def __bool__(self) -> bool:
        return bool(self._armed)

    def arm(self, faults: Iterable[Fault]) -> None:
        """Replaces what was in force; the counts start again."""
        self._armed = [_Armed(fault) for fault in faults]

    def strike(self, stage: str, recipients: Iterable[str] = ()) -> Fault | None:
        """The fault that strikes at this chance, if one does. Counts the chance."""
        for armed in self._armed:
            if armed.fault.stage in {stage, "any"} and armed.strikes(recipients):
                return armed.fault
        return None


def faults_from_json(items: object) -> list[Fault]:
    return [Fault.from_json(item) for item in cast("list[Mapping[str, Any]]", items)]
