"""A small certificate authority for Dask's TLS: ``platestream certificates FOLDER``.

Scheduler, workers and clients get one certificate each. Dask asks for a certificate of this authority on both ends and
compares no host names, so the files work wherever they are copied to.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from imaging.errors import ConfigurationError

AUTHORITY, AUTHORITY_KEY = "ca.pem", "ca-key.pem"
ROLES = ("scheduler", "worker", "client")
VALID_DAYS = 825
"""Days until all certificates end; the authority's with them, for the one would be of no use without the others."""


def certificate_names(role: str) -> tuple[str, str]:
    """Names of a role's certificate and key."""
    return f"{role}.pem", f"{role}-key.pem"


def make_certificates(folder: Path, *, days: int = VALID_DAYS) -> datetime:
    """Make an authority and a certificate for scheduler, workers and clients; return until when they are valid.

    Parameters
    ----------
    folder
        Made if need be. Only its owner can read the keys in it.
    days
        For how long the certificates are valid.

    Raises
    ------
    ConfigurationError
        If one of the files is there already: what was signed by the old authority would be refused by the new one.
    """
    names = [AUTHORITY, AUTHORITY_KEY, *(name for role in ROLES for name in certificate_names(role))]
    if there := [name for name in names if (folder / name).exists()]:
        raise ConfigurationError(
            f"{folder} holds {', '.join(there)} already, and certificates are not overwritten; name another folder"
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    begin = datetime.now(UTC) - timedelta(minutes=5)  # clocks differ
    end = begin + timedelta(days=days)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    issuer = _name("authority")
    authority = _describe(issuer, issuer, begin, end, authority_key, authority_key, is_authority=True)
    signed = authority.sign(authority_key, hashes.SHA256())
    for role in ROLES:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _describe(_name(role), issuer, begin, end, key, authority_key, is_authority=False)
        certificate = builder.sign(authority_key, hashes.SHA256())
        name, key_name = certificate_names(role)
        _write_key(folder / key_name, key)
        _write(folder / name, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    _write_key(folder / AUTHORITY_KEY, authority_key)
    _write(folder / AUTHORITY, signed.public_bytes(serialization.Encoding.PEM), 0o644)
    return end


def _name(role: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Platestream {role}")])


def _describe(
    subject: x509.Name,
    issuer: x509.Name,
    begin: datetime,
    end: datetime,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.CertificateBuilder:
    """Describe a certificate that is still to be signed; an authority's is for certificates directly below it."""
    usage = x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    both_ends = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(is_authority, 0 if is_authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_id, critical=False)
    )
    return builder if is_authority else builder.add_extension(both_ends, critical=False)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    form = serialization.PrivateFormat.PKCS8
    _write(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()), 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file that nobody but its owner could ever open, not even for a moment; never over another."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
