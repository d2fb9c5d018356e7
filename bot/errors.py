"""What may be shown to people. Anything that is not a BotError is logged with an id that the person is given."""

from storage.errors import StorageError


class BotError(Exception):
    """A sentence for people: what failed, why, and what to do next."""


class NotFoundError(BotError):
    """Nothing of that name exists; the sentence lists near names where there are some."""


class WrongStateError(BotError):
    """The thing exists, but not in a state that allows the request."""


class NotAllowedError(BotError):
    """The actor lacks the role; the sentence names who may."""


class RoleMissingError(NotAllowedError):
    """As above. All of its sentence is ours and nothing in it was typed, so it may mention user groups."""


class BadInputError(BotError):
    """What was typed, uploaded or imported cannot be used as it is."""


class SettingsError(BotError):
    """A setting is missing or wrong; the sentence names it. The process exits with code 2."""


SHOWABLE = (BotError, StorageError)
"""What an edge may turn into a reply."""
