"""Keys that sign, the DNS that their records stand in, and dkimpy, which knows nothing of our signer."""

from collections.abc import Callable
from typing import Any, Final

import dkim
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from bot.config import DkimSettings
from bot.mail.dkim_key import SigningKey, read_key


def pem(key: Any, lock: KeySerializationEncryption | None = None) -> bytes:
    octets = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption())
    assert isinstance(octets, bytes)
    return octets


RSA_PEM: Final = pem(rsa.generate_private_key(65537, 2048))
ED25519_PEM: Final = pem(Ed25519PrivateKey.generate())


def signing(selector: str, octets: bytes, domain: str = "shop.example") -> SigningKey:
    return read_key(selector, DkimSettings.model_validate({"domain": domain, "key": octets.decode()}))


RSA: Final = signing("rsa1", RSA_PEM)
ED25519: Final = signing("ed1", ED25519_PEM)
BOTH: Final = (RSA, ED25519)


def dns(*keys: SigningKey) -> Callable[..., bytes | None]:
    records = {f"{name}.".encode(): text.encode() for name, text in (key.record for key in keys)}

    def published(name: bytes, **_options: Any) -> bytes | None:
        return records.get(name)

    return published


def holds(message: bytes, *keys: SigningKey) -> list[bool]:
    """What the verifier says of each signature, from the top."""
    return [_holds(message, at, dns(*keys)) for at in range(len(keys))]


def _holds(message: bytes, at: int, published: Callable[..., bytes | None]) -> bool:
    try:
        return bool(dkim.DKIM(message).verify(idx=at, dnsfunc=published))
    except dkim.ValidationError:
        return False
