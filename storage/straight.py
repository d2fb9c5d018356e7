"""A transaction whose statements a single thread carries out one after the other, for work that waits for nothing else.

Over aiosqlite every statement changes threads about four times, and each change waits until a busy loop comes round:
a batch of results held the file's only pen for 50 ms, of which SQLite worked 10. So what needs nothing but the
database is driven here from its first statement to its last by a thread with a plain connection. It is the same
coroutine as elsewhere; what it awaits is done when it is asked.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.engine import Result, ScalarResult
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

T = TypeVar("T")


class _Line:
    """What is used of an AsyncConnection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, *arguments: Any) -> Result[Any]:
        return self._connection.execute(*arguments)

    async def scalar(self, *arguments: Any) -> Any:
        return self._connection.scalar(*arguments)


class _Straight:
    """What is used of an AsyncSession."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.add = session.add
        self.add_all = session.add_all
        self.get_bind = session.get_bind

    async def connection(self) -> _Line:
        return _Line(self._session.connection())

    async def execute(self, *arguments: Any, **options: Any) -> Result[Any]:
        return self._session.execute(*arguments, **options)

    async def scalar(self, *arguments: Any, **options: Any) -> Any:
        return self._session.scalar(*arguments, **options)

    async def scalars(self, *arguments: Any, **options: Any) -> ScalarResult[Any]:
        return self._session.scalars(*arguments, **options)

    async def get(self, *arguments: Any, **options: Any) -> Any:
        return self._session.get(*arguments, **options)

    async def flush(self) -> None:
        self._session.flush()


def drive(session: Session, work: Callable[[AsyncSession], Coroutine[Any, Any, T]]) -> T:
    """Carry out `work` in this thread and return its result. Raises RuntimeError when it waits for anything else."""
    coroutine = work(cast("AsyncSession", _Straight(session)))
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    coroutine.close()
    raise RuntimeError("work in one go must await nothing but its transaction")
