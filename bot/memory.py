"""What the garbage collector need not walk."""

import gc


def keep_for_good() -> None:
    """Everything that is loaded now lives as long as the process: without this a full collection, which stops all else,
    walks it again and again, and a click waits for it (https://docs.python.org/3/library/gc.html#gc.freeze).
    """
    gc.collect()
    gc.freeze()
