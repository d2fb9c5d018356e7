"""Names that run from right to left beside ones that do not, and characters that turn text round.

A piece between FSI and PDI keeps its direction to itself (https://www.unicode.org/reports/tr9/). Overrides and
embeddings do the opposite, which is how a name can make a sentence read as another one.
"""

import re
import unicodedata

_FIRST_STRONG, _END = "\u2068", "\u2069"
_TURNING = re.compile("[\u202a-\u202e\u2066\u2067]")
_RIGHT_TO_LEFT = frozenset({"R", "AL"})


def untwisted(text: str) -> str:
    """Without what would turn the rest of the line round; isolates that we put in stay."""
    return text if text.isascii() else _TURNING.sub("", text)


def isolated(text: str) -> str:
    """A piece that others wrote, for a sentence of ours: if it runs from right to left, it alone does."""
    if text.isascii():
        return text
    piece = untwisted(text).replace(_FIRST_STRONG, "").replace(_END, "")
    turns = any(unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in piece)
    return f"{_FIRST_STRONG}{piece}{_END}" if turns else piece
