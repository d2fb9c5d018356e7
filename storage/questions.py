"""Questions: asked before a wide or final deed, answered once. It never decides."""

from datetime import datetime

from sqlalchemy import delete, update

from storage.db import Tx
from storage.models import Question


async def add(tx: Tx, question: Question) -> Question:
    tx.add(question)
    await tx.flush()
    return question


async def get(tx: Tx, question_id: int) -> Question | None:
    return await tx.get(Question, question_id, populate_existing=True)


async def answer(tx: Tx, question_id: int, answer: str, by: str, at: datetime) -> bool:
    """False when somebody else answered before, or when it is too late: the first answer counts."""
    answered = await tx.scalar(
        update(Question)
        .where(Question.id == question_id, Question.answer.is_(None), Question.expires_at > at)
        .values(answer=answer, answered_by=by, answered_at=at)
        .returning(Question.id)
        .execution_options(synchronize_session=False)
    )
    return answered is not None


async def forget(tx: Tx, before: datetime) -> None:
    """Drop what was over before this moment."""
    await tx.execute(delete(Question).where(Question.expires_at < before))
