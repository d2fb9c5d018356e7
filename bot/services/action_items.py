"""Action items: what is to be done because of an outage, kept in its timeline, until somebody says that it is done."""

from bot.access import Access, Actor
from bot.clock import now
from bot.errors import BadInputError, NotFoundError, WrongStateError
from bot.services.outage_reading import actions_of, pick
from bot.services.outage_shapes import ACTION, ActionList, OutageResult, action_of
from storage import timeline
from storage.db import Database, Tx
from storage.models import Timeline
from storage.timeline import Entry

_DONE = "outage.action_done"
TEXT_MAX = 500


class ActionItems:
    """They are told in the thread, and shown in the outage's summary, which follows them after its end."""

    def __init__(self, db: Database, access: Access) -> None:
        self._db = db
        self._access = access

    async def add(
        self, actor: Actor, outage_id: int | None, text: str, owner: str | None = None, link: str | None = None
    ) -> OutageResult:
        """Note what is to be done, and by whom. Without a number: for the only unresolved outage, else the newest.

        `link` leads to the message it was made from. Raises BadInputError, NotFoundError, NotAllowedError.
        """
        self._access.require(actor, "outage.update")
        said = checked(text)
        async with self._db.transaction() as tx:
            outage, at = await pick(tx, outage_id, or_latest=True), now()
            data = {"text": said, "owner": owner, "link": link}
            row = await timeline.record(tx, Entry(ACTION, said, actor.id, at, outage_id=outage.id, data=data))
            row.text = f"{actor.mention} noted action {row.id}{f' for {owner}' if owner else ''}: {said}"
            await _show(tx, outage.id)
            number = row.id
        who = f"{owner} has it." if owner else "Nobody has it yet."
        done = f"Noted as action {number} of outage #{outage.id}. {who} When it is done: /outage done {number}"
        return OutageResult(outage, done)

    async def of(self, outage_id: int | None) -> ActionList:
        """Without a number: of the only unresolved outage, else of the newest."""
        async with self._db.read() as tx:
            outage = await pick(tx, outage_id, or_latest=True)
            return ActionList(outage, await actions_of(tx, outage.id))

    async def done(self, actor: Actor, number: int) -> str:
        """Raises NotFoundError, and WrongStateError with who said so before."""
        self._access.require(actor, "outage.update")
        async with self._db.transaction() as tx:
            row, outage_id = _to_close(await timeline.locked(tx, number), number)
            item = action_of(row)
            row.data = {**row.data, "done_by": actor.mention, "done_at": now().isoformat()}
            text = f"{actor.mention} says that action {number} is done: {item.text}"
            await timeline.record(tx, Entry(_DONE, text, actor.id, now(), outage_id=outage_id))
            await _show(tx, outage_id)
        return f"Action {number} is done: {item.text}"


def checked(text: str) -> str:
    """What is to be done, on one line. Raises BadInputError when there is nothing or too much."""
    said = " ".join(text.split())
    if not said:
        raise BadInputError("Say what is to be done: /outage action TEXT")
    if len(said) > TEXT_MAX:
        raise BadInputError(f"That is {len(said):,} characters long. Keep an action to {TEXT_MAX:,}.")
    return said


async def to_close(tx: Tx, number: int) -> tuple[Timeline, int]:
    """The action that can be said to be done, and its outage. Nothing is locked.

    Raises NotFoundError, and WrongStateError with who said so before.
    """
    return _to_close(await timeline.get(tx, number), number)


def _to_close(row: Timeline | None, number: int) -> tuple[Timeline, int]:
    if row is None or row.kind != ACTION or row.outage_id is None:
        raise NotFoundError(f"There is no action {number}. See them with: /outage actions")
    done_by = action_of(row).done_by
    if done_by is not None:
        raise WrongStateError(f"Action {number} was done already: {done_by} said so.")
    return row, row.outage_id


async def _show(tx: Tx, outage_id: int) -> None:
    await timeline.touch_post(tx, f"summary:{outage_id}")
