"""The planning and the calling off of a maintenance window taken back, while it has not begun."""

from datetime import datetime

from bot.access import Actor
from bot.errors import WrongStateError
from bot.services.maintenance_picking import check_free, window_of, wrong_state
from bot.services.maintenance_steps import tell
from bot.services.words import moment
from storage import maintenance, servers
from storage.db import Tx
from storage.models import MaintenanceState, Undo


async def undo_confirm(tx: Tx, note: Undo, actor: Actor, at: datetime) -> str:
    """What was planned is called off. Raises WrongStateError when it has begun."""
    window = await window_of(tx, note.data["window"])
    server = (await servers.lock(tx, [window.server_id]))[window.server_id]
    off = await maintenance.move(tx, window.id, [MaintenanceState.SCHEDULED], state=MaintenanceState.CANCELLED)
    if off is None:
        raise wrong_state(await window_of(tx, window.id), at)
    text = f"{actor.mention} called off the maintenance of {server.name}."
    await tell(tx, off, "maintenance.cancelled", text, actor, at)
    return f"The maintenance of {server.name} is called off."


async def undo_cancel(tx: Tx, note: Undo, actor: Actor, at: datetime) -> str:
    """What was called off is planned (or proposed) again. Raises WrongStateError when its time has come or is taken."""
    window = await window_of(tx, note.data["window"])
    server = (await servers.lock(tx, [window.server_id]))[window.server_id]
    if window.starts_at <= at:
        raise WrongStateError(
            f"It would have begun at {moment(window.starts_at, at)}. Nothing was undone; plan a new one: "
            "/maintenance schedule"
        )
    await check_free(tx, server, window.starts_at, window.ends_at, at)
    state = MaintenanceState(note.data["state"])
    again = await maintenance.move(tx, window.id, [MaintenanceState.CANCELLED], state=state)
    if again is None:
        raise wrong_state(await window_of(tx, window.id), at)
    planned = state == MaintenanceState.SCHEDULED
    word = "planned" if planned else "proposed"
    text = f"{actor.mention} undid the calling off: the maintenance of {server.name} is {word} again."
    await tell(tx, again, "maintenance.scheduled" if planned else "maintenance.proposed", text, actor, at, card=planned)
    return f"The maintenance of {server.name} is {word} again: {moment(window.starts_at, at)}."
