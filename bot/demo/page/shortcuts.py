"""The shortcuts that Slack would offer for the app: in the menu of a message, and at the composer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.slack.manifest import manifest

_SECTION = re.compile(r"^  shortcuts:\n((?:^(?:    .*|\s*)\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^    - ", re.MULTILINE)
_FIELD = re.compile(r'^ *(\w+): *"?(.*?)"? *(?: #.*)?$', re.MULTILINE)


@dataclass(frozen=True)
class Shortcut:
    """`message` says that it stands in the menu of a message; else it is a global one."""

    callback: str
    name: str
    about: str = ""
    message: bool = False


def of_the_manifest() -> list[Shortcut]:
    """What manifest.yml declares under `features.shortcuts`. Raises SettingsError when the file is not there."""
    return shortcuts_in(manifest(http=False, url=None))


def shortcuts_in(text: str) -> list[Shortcut]:
    """Those of a manifest that is laid out as ours is: two spaces a level, one field a line."""
    section = _SECTION.search(text)
    entries = _ENTRY.split(section[1])[1:] if section else []
    return [_shortcut(_FIELD.findall(entry)) for entry in entries]


def _shortcut(pairs: Sequence[tuple[str, str]]) -> Shortcut:
    fields = dict(pairs)
    about, message = fields.get("description", ""), fields["type"] == "message"
    return Shortcut(fields["callback_id"], fields["name"], about, message)
