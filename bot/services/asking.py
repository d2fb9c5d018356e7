"""The question before what is wide or final: kept in the database, so that its Confirm works after a restart, once."""

from collections.abc import Collection
from datetime import datetime, timedelta

from bot.access import Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import NotFoundError, WrongStateError
from bot.services.plans import Plan
from bot.services.when import lasting
from bot.services.words import moment
from storage import questions
from storage.db import Database
from storage.models import Question

_KEEP = timedelta(days=2)
_ANSWERS = {"confirmed": "carried out", "dropped": "dropped"}


class TooLateError(WrongStateError):
    """The question was answered before, or its time is over: it needs no buttons any more."""


class Asking:
    """Who may answer is settled by the deed itself, which checks the permission of who presses."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._within = settings.asking.question_expires_after

    @property
    def within(self) -> timedelta:
        """How long a question can be confirmed."""
        return self._within

    async def ask(self, actor: Actor, line: str, plan: Plan) -> Question:
        """Keep what would be done by `line`, as it was shown."""
        at = now()
        question = Question(
            line=line,
            deed=plan.deed,
            targets=list(plan.targets),
            asked_by=actor.mention,
            asked_at=at,
            expires_at=at + self._within,
        )
        async with self._db.transaction() as tx:
            await questions.add(tx, question)
            # Afterwards: SQLite gives the number of a last row that is gone to the next one, and buttons carry it.
            await questions.forget(tx, at - _KEEP)
        return question

    async def waiting(self, question_id: int) -> Question:
        """The question, while it can be answered. Raises TooLateError, with who was first, and NotFoundError."""
        async with self._db.read() as tx:
            question = await questions.get(tx, question_id)
        if question is None:
            raise NotFoundError("This question is too old. Nothing was changed; type the command again.")
        _check_open(question, now())
        return question

    async def answer(self, actor: Actor, question_id: int, answer: str) -> None:
        """`confirmed` or `dropped`, once. Raises TooLateError, with who was first."""
        at = now()
        async with self._db.transaction() as tx:
            if await questions.answer(tx, question_id, answer, actor.mention, at):
                return
            question = await questions.get(tx, question_id)
        if question is not None:
            _check_open(question, at)
        raise TooLateError("This question was answered at this moment. Nothing more was changed.")


def has_come(question: Question, plan: Plan) -> Collection[str]:
    """What would be hit now and was not shown. What has ended since is no reason to ask again."""
    return [each for each in plan.targets if each not in question.targets]


def _check_open(question: Question, at: datetime) -> None:
    if question.answer is not None:
        when = moment(question.answered_at or at, at)
        raise TooLateError(f"{_ANSWERS[question.answer].capitalize()} by {question.answered_by} at {when} already.")
    if question.expires_at <= at:
        length = lasting(question.expires_at - question.asked_at)
        raise TooLateError(
            f"This was asked more than {length} ago. Nothing was changed; type it again: {question.line}"
        )
