"""The reminder in an outage's thread: what its lead should do now, and what became of it."""

from bot.services.reminders import ReminderCard
from bot.services.when import lasting
from bot.services.words import joined
from bot.slack import blocks
from bot.slack.blocks import View, escape
from bot.slack.views.timeline import safe


def card(shown: ReminderCard) -> View:
    """With buttons while it waits for an answer; a line about the answer after that."""
    return _waiting(shown) if shown.reminder.answer is None else _answered(shown)


def send_update(outage_id: int) -> View:
    """The words to type, for whoever pressed Send update where no form opens."""
    typed = f"/outage update #{outage_id} TEXT"
    return View(
        f"Type what is new: {typed}",
        [
            blocks.section(f"*Next:* type what is new, with your own words in the place of TEXT:\n`{typed}`"),
            blocks.context(
                "It stands in the thread of the outage at once, and the time to the next reminder begins anew. "
                "When it will be back: /outage eta WHEN"
            ),
        ],
    )


def _waiting(shown: ReminderCard) -> View:
    reminder, number = shown.reminder, shown.outage.id
    quiet = lasting(reminder.at - reminder.since)
    do = f"take it with /outage ack #{number}, for nobody has it, and say what is new."
    if reminder.lead:
        do = f"{safe(reminder.lead)}, say what is new."
    often = f" People should hear of a {reminder.severity} outage every {lasting(shown.every)}." if shown.every else ""
    value = str(reminder.id)
    return View(
        f"Outage on {escape(joined(list(shown.servers)))}, nothing said for {quiet}: {do}",
        [
            blocks.section(
                f"⏰ *Next:* {do}\nNothing was said for {quiet}, since {blocks.time(reminder.since, '{time}')}.{often}"
            ),
            blocks.actions(
                [
                    blocks.button("Send update", "outage.say", str(number), style="primary"),
                    blocks.button("30 min", "outage.halfhour", value),
                    blocks.button("60 min", "outage.hour", value),
                    blocks.button("Never", "outage.never", value),
                ]
            ),
            blocks.context(
                f"“Nothing new yet” is news too: /outage update #{number} TEXT · 30 min and 60 min put the next "
                f"reminder off, Never ends them for this outage: /outage remind #{number} 30 min|never"
            ),
        ],
    )


def _answered(shown: ReminderCard) -> View:
    reminder, number = shown.reminder, shown.outage.id
    who = safe(reminder.answered_by) if reminder.answered_by else "Somebody"
    at = f" at {blocks.time(reminder.answered_at, '{time}')}" if reminder.answered_at else ""
    until = blocks.time(reminder.until, "{time}") if reminder.until else "later"
    said = {
        "update": f"✅ {who} said what is new{at}."
        if reminder.answered_by
        else "✅ There is something new in the thread.",
        "later": f"💤 {who} put the reminder off until {until}.",
        "never": f"🔕 {who} ended the reminders of this outage{at}. Undo it with /outage remind #{number} again",
    }.get(reminder.answer or "", f"⏰ This reminder is over{at}: nothing is to be done for it.")
    return View(said, [blocks.context(said)])
