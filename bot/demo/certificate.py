"""The certificates of the demo's relays: from an authority of its own, for this machine, while a demo lasts."""

import ipaddress
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bot.clock import now

_LASTS = timedelta(days=2)
_EARLIER = timedelta(days=30)
_HOUR = timedelta(hours=1)

_Signer = tuple[x509.Name, ec.EllipticCurvePrivateKey]


class Certificates:
    """Three PEM files: the `authority` to trust, a `valid` certificate with its key, and one that has `expired`."""

    def __init__(self, folder: Path, host: str) -> None:
        """`host` is an IP address. Only the owner reads the keys."""
        self.authority, self.valid, self.expired = (
            folder / f"{name}.pem" for name in ("authority", "relay", "relay-expired")
        )
        signer = (_name("Holdfast demo"), ec.generate_private_key(ec.SECP256R1()))
        ca = x509.BasicConstraints(ca=True, path_length=0)
        _write(self.authority, _signed(signer, signer, now() + _LASTS, ca))
        server = (_name(host), ec.generate_private_key(ec.SECP256R1()))
        named = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        for path, ends in ((self.valid, now() + _LASTS), (self.expired, now() - _HOUR)):
            _write(path, _key(server) + _signed(server, signer, ends, named))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(owner: _Signer, signer: _Signer, ends: datetime, extension: x509.ExtensionType) -> bytes:
    made = (
        x509.CertificateBuilder()
        .subject_name(owner[0])
        .issuer_name(signer[0])
        .public_key(owner[1].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - _EARLIER)
        .not_valid_after(ends)
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        # Strict verification, the default from Python 3.13 on, asks for both identifiers.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(owner[1].public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer[1].public_key()), critical=False)
        .sign(signer[1], hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def _key(owner: _Signer) -> bytes:
    return owner[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
