"""What a server's reply means for one delivery: delivered, again, never, or a person decides.

The table is RFC 5321 section 4.2 (codes), RFC 3463 and its registry (enhanced codes) and RFC 1047 (the gap
between the final dot and its reply). The first rule that fits wins. Two decisions of ours:

- A 5xx that is not about the recipient (authentication, relaying, policy, size, content) is
  `failed_permanent`, because the same attempt would fail again at once, but its retry is `after_fix`: it may
  be sent again when the cause is gone and a person approves. It never suppresses an address.
- An address is suppressed only when the server says that it does not exist. A bare 550 at RCPT whose text
  talks of relaying, blocking or the sender is about us: an outage must not cost a customer.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal


class Stage(StrEnum):
    """Where in an SMTP session something happened, in order."""

    dns = "dns"
    connect = "connect"
    greeting = "greeting"
    ehlo = "ehlo"
    starttls = "starttls"
    auth = "auth"
    mail = "mail"
    rcpt = "rcpt"
    data = "data"
    body = "body"  # the message is being written, its final dot is not
    dot = "dot"  # the final dot is written, its reply is awaited
    quit = "quit"


class Outcome(StrEnum):
    """How an attempt ended; these are the ledger's statuses."""

    delivered = "delivered"
    failed_temporary = "failed_temporary"
    failed_permanent = "failed_permanent"
    unknown = "unknown"


Blame = Literal["nobody", "recipient", "sender", "server", "network"]
Retry = Literal["safe", "after_fix", "never", "decide"]

# RFC 2034 puts the enhanced code first; qmail writes it at the end as (#5.1.1).
_ENHANCED: Final = re.compile(r"(?:^|\(#)([245]\.\d{1,3}\.\d{1,3})(?!\d|\.\d)")


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's whole reply: its three digits and its text, lines joined by a newline."""

    code: int
    text: str = ""

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code ("5.1.1"), or None where the server gave none."""
        found = _ENHANCED.search(self.text)
        return found[1] if found else None

    def __str__(self) -> str:
        return f"{self.code} {self.text}".rstrip()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an ending means.

    `suppress`: the address is not to be mailed again by any campaign. `retry`: `safe` may go again as it is,
    `after_fix` when the cause is gone and a person approves, `never`, or `decide`: nobody knows whether it
    arrived, so only a person may send it again. `why` completes the sentence "not delivered: ...".
    """

    outcome: Outcome
    suppress: bool
    blame: Blame
    retry: Retry
    why: str


def _temporary(blame: Blame, why: str) -> Judgement:
    return Judgement(Outcome.failed_temporary, suppress=False, blame=blame, retry="safe", why=why)


def _after_fix(blame: Blame, why: str) -> Judgement:
    return Judgement(Outcome.failed_permanent, suppress=False, blame=blame, retry="after_fix", why=why)


def _gone(why: str) -> Judgement:
    return Judgement(Outcome.failed_permanent, suppress=True, blame="recipient", retry="never", why=why)


def _unknown(blame: Blame, why: str) -> Judgement:
    return Judgement(Outcome.unknown, suppress=False, blame=blame, retry="decide", why=why)


DELIVERED: Final = Judgement(
    Outcome.delivered, suppress=False, blame="nobody", retry="never", why="the server took the message"
)
_NO_ADDRESS: Final = _gone("the recipient's address does not exist")
_DISABLED: Final = _gone("the recipient's mailbox is disabled")
_NEW_OWNER: Final = _gone("the recipient's address belongs to someone else now")
_FULL: Final = _after_fix("recipient", "the recipient's mailbox is full")
_MAILBOX: Final = _after_fix("recipient", "the recipient's mailbox cannot take the message")
_TOO_BIG: Final = _after_fix("sender", "the message is too big for the server")
_BAD_SENDER: Final = _after_fix("sender", "the server does not accept the sender's address")
_POLICY: Final = _after_fix("sender", "the server refuses us by its policy or wants us to authenticate")
_CONTENT: Final = _after_fix("sender", "the server does not accept the message's content")
_SYSTEM: Final = _after_fix("server", "the server cannot take or route the message")
_REFUSED: Final = _after_fix("sender", "the server refused the message")
_CLOSED: Final = _after_fix("server", "the server does not take mail")
_BUSY: Final = _temporary("server", "the server put the message off")
_BUSY_RECIPIENT: Final = _temporary("recipient", "the recipient's mailbox cannot take the message now")
_BUSY_SENDER: Final = _temporary("sender", "the server put us off by its policy")
_NOT_REACHED: Final = _temporary("network", "the connection failed before the message was handed over")
_CONFUSED: Final = _temporary("server", "the server's reply made no sense, before the message was handed over")
_LOST: Final = _unknown("network", "the connection was lost after the message and before the server's answer")
_GARBLED: Final = _unknown("server", "the server's answer to the message made no sense")
_CLOSING: Final = _unknown("server", "the session was being closed, so no message can be judged by it")

_SESSION: Final = frozenset({Stage.dns, Stage.connect, Stage.greeting, Stage.ehlo, Stage.starttls, Stage.auth})
_TRANSACTION: Final = frozenset({Stage.rcpt, Stage.data, Stage.body, Stage.dot})
_AFTER_RCPT: Final = frozenset({Stage.mail, Stage.data, Stage.body, Stage.dot})


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line of the table for 5xx replies. `enhanced` matches whole or, ending in a dot, as a beginning."""

    stages: frozenset[Stage]
    meaning: Judgement
    codes: frozenset[int] = frozenset()
    enhanced: tuple[str, ...] = ()

    def fits(self, stage: Stage, code: int, enhanced: str | None) -> bool:
        if stage not in self.stages:
            return False
        if self.codes and code not in self.codes:
            return False
        if not self.enhanced:
            return True
        return enhanced is not None and any(
            enhanced.startswith(known) if known.endswith(".") else enhanced == known for known in self.enhanced
        )


_ANYWHERE: Final = frozenset(Stage)
_AT_RCPT: Final = frozenset({Stage.rcpt})

# Rules that trust the enhanced code, where the server gave one of class 5.
_BY_ENHANCED: Final = (
    _Rule(_ANYWHERE, _BAD_SENDER, enhanced=("5.1.7", "5.1.8")),
    _Rule(_TRANSACTION, _NO_ADDRESS, enhanced=("5.1.",)),
    _Rule(_ANYWHERE, _BAD_SENDER, enhanced=("5.1.",)),
    _Rule(_TRANSACTION, _DISABLED, enhanced=("5.2.1",)),
    _Rule(_TRANSACTION, _FULL, enhanced=("5.2.2",)),
    _Rule(_ANYWHERE, _TOO_BIG, enhanced=("5.2.3", "5.3.4")),
    _Rule(_TRANSACTION, _MAILBOX, enhanced=("5.2.",)),
    _Rule(_ANYWHERE, _SYSTEM, enhanced=("5.3.", "5.4.")),
    _Rule(_ANYWHERE, _CONTENT, enhanced=("5.6.",)),
    _Rule(_TRANSACTION, _NEW_OWNER, enhanced=("5.7.17", "5.7.18")),  # RFC 7293
    _Rule(_ANYWHERE, _POLICY, enhanced=("5.7.",)),
)

# Rules for the bare code; the last one takes what is left.
_BY_CODE: Final = (
    _Rule(_ANYWHERE, _CLOSED, codes=frozenset({521})),  # RFC 7504
    _Rule(_AT_RCPT, _NO_ADDRESS, codes=frozenset({550, 551, 553, 556})),
    _Rule(_AT_RCPT, _FULL, codes=frozenset({552})),
    _Rule(_AFTER_RCPT, _TOO_BIG, codes=frozenset({552})),
    _Rule(frozenset({Stage.mail}), _BAD_SENDER, codes=frozenset({550, 551, 553})),
    _Rule(_ANYWHERE, _POLICY, codes=frozenset({530, 534, 535, 538, 550, 554})),
    _Rule(frozenset({Stage.ehlo, Stage.starttls}), _SYSTEM),
    _Rule(_SESSION, _POLICY),
    _Rule(_ANYWHERE, _REFUSED),
)

_ABOUT_US: Final = re.compile(
    r"relay|rcpthosts|authenti|permitted|permission|denied|block|blacklist|spam|policy|sender|reputation"
    r"|\bspf\b|\bdkim\b|\bdmarc\b|\bptr\b|reverse dns|your ip|rate limit|too many",
    re.IGNORECASE,
)


def judge(stage: Stage, reply: Reply | None) -> Judgement:
    """What it means that an attempt ended at `stage` with `reply`; None: connection lost or timed out there.

    Pure, so that a stored (stage, code, text) can be judged again later. At `quit` no message is open: the
    result is `unknown`, the answer that can neither lose nor double anything.
    """
    if stage is Stage.quit:
        return _CLOSING
    if reply is None:
        return _LOST if stage is Stage.dot else _NOT_REACHED
    kind = reply.code // 100
    if kind == 2 and stage is Stage.dot:
        return DELIVERED
    if kind == 4:
        return _put_off(stage, reply)
    if kind == 5:
        return _refused(stage, reply)
    return _GARBLED if stage is Stage.dot else _CONFUSED


def _put_off(stage: Stage, reply: Reply) -> Judgement:
    enhanced = reply.enhanced or ""
    if reply.code == 421 or stage in _SESSION:
        return _BUSY
    if enhanced.startswith("4.7."):
        return _BUSY_SENDER
    if enhanced.startswith(("4.1.", "4.2.")) or (stage is Stage.rcpt and reply.code == 450 and not enhanced):
        return _BUSY_RECIPIENT
    return _BUSY


def _refused(stage: Stage, reply: Reply) -> Judgement:
    enhanced = reply.enhanced
    if enhanced is not None and enhanced.startswith("5."):
        for rule in _BY_ENHANCED:
            if rule.fits(stage, reply.code, enhanced):
                return rule.meaning
        # 5.0.x and 5.5.x say no more than "refused": too little to suppress an address on.
        return _REFUSED
    for rule in _BY_CODE:
        if rule.fits(stage, reply.code, None):
            return _POLICY if rule.meaning.suppress and _ABOUT_US.search(reply.text) else rule.meaning
    return _REFUSED
