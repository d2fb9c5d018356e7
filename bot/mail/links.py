"""Signed links: who a click is from, without a table of tokens and without a way to guess one.

A token does not expire: an unsubscribe link must work for as long as the mail is kept. It is bound to its
purpose, so that a token made for one kind of page does nothing at another.
"""

import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

from itsdangerous import BadSignature, Signer

from bot.errors import BadInputError

_PAYLOAD: Final = re.compile(rb"(\d{1,18})-(\d{1,18})", re.ASCII)
_LONGEST: Final = 200
_BLOCK: Final = 64  # octets, of SHA-256
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


class Links:
    """Makes and reads the tokens of one purpose ("unsubscribe", "feedback", ...).

    `secrets` are the signing secrets, oldest first: new tokens are signed with the last, older ones are still
    read, so a secret can be replaced without breaking the links in mail already sent.
    """

    def __init__(self, secrets: Sequence[str], purpose: str = "unsubscribe") -> None:
        if not secrets or not all(secrets):
            raise ValueError("Links need at least one secret, and none may be empty.")
        # The key is bound to the purpose once: itsdangerous' own derivation would do it for every token.
        keys = [hmac.digest(secret.encode(), f"holdfast.{purpose}".encode(), "sha256") for secret in secrets]
        self._signer = Signer(keys, key_derivation="none", digest_method=hashlib.sha256)
        # HMAC's two hashes (RFC 2104) with the key in them: set up anew they would cost three times a token.
        padded = keys[-1].ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(octet ^ 0x36 for octet in padded))
        self._outer = hashlib.sha256(bytes(octet ^ 0x5C for octet in padded))

    def make(self, campaign: int, recipient: int) -> str:
        """The token for a campaign's id and a recipient's number (both 0 or more); fit for a URL's path.

        It is what the signer that reads it would write, for half the time.
        """
        if campaign < 0 or recipient < 0:
            raise ValueError("A token's campaign and recipient are numbers from 0 up.")
        payload = b"%d-%d" % (campaign, recipient)
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(payload)
        outer.update(inner.digest())
        signature = binascii.b2a_base64(outer.digest(), newline=False).translate(_URL_SAFE, b"=")
        return (payload + b"." + signature).decode()

    def read(self, token: str) -> tuple[int, int]:
        """The campaign's id and the recipient's number; BadInputError when we did not make this token."""
        try:
            payload = self._signer.unsign(token[: _LONGEST + 1].encode("ascii", "replace"))
        except BadSignature as error:
            raise BadInputError(
                "This link is not complete or was changed on its way. "
                "Open it again from the message itself, or answer the message."
            ) from error
        found = _PAYLOAD.fullmatch(payload)
        if found is None:
            raise BadInputError("This link is for another page. Open it again from the message itself.")
        return int(found[1]), int(found[2])
