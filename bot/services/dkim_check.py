"""`holdfast check`: the keys that sign mail by DKIM, what has to be in DNS for them, and mail that none is for."""

import stat
from collections import defaultdict
from email import policy
from email.parser import BytesHeaderParser

from bot.config import DkimSettings, Settings
from bot.errors import BadInputError, SettingsError
from bot.mail.composing_parts import parse_sender
from bot.mail.dkim_key import read_key
from bot.mail.dkim_keys import unsigned
from bot.services.checking import Finding
from bot.services.words import joined
from storage import messages
from storage.db import Database, head_revision
from storage.errors import StorageError

_NOTICES = "notices"
_SHOWN = 5


async def check_dkim(settings: Settings) -> list[Finding]:
    """No key is shown. Whether the record is in DNS is not asked: this machine may see another DNS than receivers."""
    if not settings.dkim:
        return [Finding("DKIM", ok=True, sentence="No key is set, so signing mail is left to the mail servers.")]
    keys = [_key(name, given) for name, given in settings.dkim.items()]
    return [*keys, *_not_covered(settings, await _senders(settings))]


def _key(name: str, given: DkimSettings) -> Finding:
    what = f"DKIM {name}"
    try:
        key = read_key(name, given)
    except SettingsError as error:
        return Finding(what, ok=False, sentence=str(error))
    where, record = key.record
    published = f"In DNS there must be the TXT record {where} with: {record}"
    if key.weak:
        sentence = f"{key.kind} signs mail from {key.domain}, and receivers want 2,048 bits: replace it. {published}"
        return Finding(what, ok=True, sentence=sentence, warn=True)
    if given.key_file is not None and given.key_file.stat().st_mode & stat.S_IROTH:
        sentence = f"Everybody on this machine can read {given.key_file}: chmod o-r {given.key_file}. {published}"
        return Finding(what, ok=True, sentence=sentence, warn=True)
    return Finding(what, ok=True, sentence=f"{key.kind} signs mail from {key.domain}. {published}")


def _not_covered(settings: Settings, senders: list[tuple[str, str]]) -> list[Finding]:
    """Mail whose From address belongs to a domain without a key, domain by domain."""
    found = defaultdict(list)
    for name, sender in senders:
        try:
            [(_, address), *_] = parse_sender(sender, "From")
        except BadInputError:  # whoever sends it is told
            continue
        sentence = unsigned(settings, address.rpartition("@")[2])
        if sentence is not None:
            found[sentence].append(name)
    return [Finding("DKIM", ok=True, sentence=f"{_listed(names)}: {each}", warn=True) for each, names in found.items()]


def _listed(names: list[str]) -> str:
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return joined([*names[:_SHOWN], *more])


async def _senders(settings: Settings) -> list[tuple[str, str]]:
    """Who mail is from: notices, and campaigns that are not over. Of the database another check says what is wrong."""
    found = [(_NOTICES, settings.notices.sender)] if settings.notices.sender else []
    try:
        db = Database(settings.database)
    except StorageError:
        return found
    try:
        if await db.revision() != head_revision():
            return found
        async with db.read() as tx:
            live = await messages.senders_of_live(tx)
    except StorageError:
        return found
    finally:
        await db.close()
    headers = BytesHeaderParser(policy=policy.default)
    return found + [(name, sender or str(headers.parsebytes(eml)["From"] or "")) for name, sender, eml in live]
