"""A key that signs mail by DKIM, read from its file and checked. Loaded only where there is one: cryptography is large.

Sources: RFC 6376, RFC 8301 (sizes), RFC 8463 (Ed25519).
"""

import binascii
import hashlib
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from bot.config import DkimSettings
from bot.errors import SettingsError

_REFUSED_BELOW: Final = 1024
_WEAK_BELOW: Final = 2048
_LONGEST: Final = 4096
_MOST_OCTETS: Final = 100_000
_MAKE_ONE: Final = "Make one with: openssl genpkey -algorithm ed25519 -out dkim.pem"


@dataclass(frozen=True)
class SigningKey:
    """A private key with its place in DNS. `algorithm` is as DKIM writes it; `bits` are those of an RSA key."""

    domain: str
    selector: str
    algorithm: str
    bits: int
    _key: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """The signature of the data's SHA-256, as base64. RSA takes about 250 us, and lets other threads run."""
        if isinstance(self._key, RSAPrivateKey):
            signature = self._key.sign(data, PKCS1v15(), SHA256())
        else:
            signature = self._key.sign(hashlib.sha256(data).digest())
        return binascii.b2a_base64(signature, newline=False)

    @property
    def weak(self) -> bool:
        return self.algorithm == "rsa-sha256" and self.bits < _WEAK_BELOW

    @property
    def kind(self) -> str:
        return f"RSA-{self.bits}" if isinstance(self._key, RSAPrivateKey) else "Ed25519"

    @property
    def record(self) -> tuple[str, str]:
        """The name and the text of the TXT record that has to be published."""
        public = self._key.public_key()
        if isinstance(self._key, RSAPrivateKey):
            kind, octets = "rsa", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            kind, octets = "ed25519", public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        text = f"v=DKIM1; k={kind}; p={binascii.b2a_base64(octets, newline=False).decode()}"
        return f"{self.selector}._domainkey.{self.domain}", text


def read_key(name: str, given: DkimSettings) -> SigningKey:
    """One key. Raises SettingsError: it cannot be read, is of no use to DKIM, or too short to be believed."""
    where = f"dkim.{name}"
    try:
        key = load_pem_private_key(_pem(where, given), None)
    except TypeError as error:
        raise SettingsError(
            f"{where}: the key is locked by a password. Give Holdfast one without, in a file that only it can read."
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{where}: this is no private key in PEM. {_MAKE_ONE}") from error
    selector = given.selector or name
    if isinstance(key, Ed25519PrivateKey):
        return SigningKey(given.domain, selector, "ed25519-sha256", 256, key)
    if not isinstance(key, RSAPrivateKey):
        raise SettingsError(f"{where}: DKIM knows RSA and Ed25519, and this key is neither. {_MAKE_ONE}")
    if not _REFUSED_BELOW <= key.key_size <= _LONGEST:
        wrong = "so short that receivers ignore it" if key.key_size < _REFUSED_BELOW else "longer than receivers check"
        raise SettingsError(
            f"{where}: an RSA key of {key.key_size} bits is {wrong} (RFC 8301). "
            "Make one with: openssl genrsa -out dkim.pem 2048"
        )
    return SigningKey(given.domain, selector, "rsa-sha256", key.key_size, key)


def _pem(where: str, given: DkimSettings) -> bytes:
    if given.key is not None:
        # Files of an environment often have \n for a line end.
        return given.key.get_secret_value().replace("\\n", "\n").encode()
    path = given.key_file
    assert path is not None  # noqa: S101  # the settings have one of the two
    try:
        with path.open("rb") as file:
            return file.read(_MOST_OCTETS)
    except OSError as error:
        raise SettingsError(
            f"{where}: {path} cannot be read ({error.strerror}). Correct the path, or let Holdfast's user read it."
        ) from error
