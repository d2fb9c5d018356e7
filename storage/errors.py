"""What the database may refuse, in sentences that are safe to show."""


class StorageError(Exception):
    """The database cannot do it now: what failed, why, and what to do next."""
