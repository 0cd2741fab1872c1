"""The operator's certificate authority and what it signs, for mutual TLS on the pods' admin port."""

import datetime
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_CERTIFICATE = "ca.crt"
CA_KEY = "ca.key"

LEAF_LIFETIME = datetime.timedelta(days=30)
"""Of the certificates of pods and of the operator, unless the settings say otherwise."""

_LIFETIME = datetime.timedelta(days=3650)
_SPENT = 2 / 3
"""The share of its life after which a certificate is replaced."""
_CLOCK_SKEW = datetime.timedelta(hours=1)


class CertificateError(Exception):
    """The authority's files are unusable; the message names them."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes
    renew_at: datetime.datetime
    """Well before it ends, so that a few failures to replace it do no harm."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates. Who trusts its certificate trusts all of them."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    trusted: tuple[x509.Certificate, ...]
    """Whose certificates are believed: this one's, and while it takes over from another, or another from it, the other's."""

    @classmethod
    def make(cls, now: datetime.datetime) -> Self:
        """A new authority, good for ten years."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("lora-operator CA")
        certificate = (
            _builder(name, name, key.public_key(), now, now + _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key, (certificate,))

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The authority whose files lie in the folder; None when there are none.

        The first certificate in the file is its own; others are trusted beside it.

        Raises:
            CertificateError: the files are not a certificate and its key.
        """
        paths = folder / CA_CERTIFICATE, folder / CA_KEY
        if not all(path.exists() for path in paths):
            return None
        try:
            certificate, *others = x509.load_pem_x509_certificates(paths[0].read_bytes())
            key = serialization.load_pem_private_key(paths[1].read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise CertificateError(f"{folder}: {CA_CERTIFICATE} and {CA_KEY} cannot be read: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise CertificateError(f"{folder}: {CA_KEY} is not the key of {CA_CERTIFICATE}; delete the Secret to renew")
        return cls(certificate, key, (certificate, *others))

    @property
    def pem(self) -> bytes:
        """The certificates that are trusted."""
        return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in self.trusted)

    @property
    def key_pem(self) -> bytes:
        """The authority's secret."""
        return _key_pem(self.key)

    @property
    def ends(self) -> datetime.datetime:
        """When nobody believes it any longer."""
        return self.certificate.not_valid_after_utc

    def server(self, host: str, now: datetime.datetime, lifetime: datetime.timedelta = LEAF_LIFETIME) -> Leaf:
        """A certificate for a server that is called `host`; no client can use it."""
        return self._leaf(host, ExtendedKeyUsageOID.SERVER_AUTH, now, lifetime, _subject_alternative(host))

    def client(self, name: str, now: datetime.datetime, lifetime: datetime.timedelta = LEAF_LIFETIME) -> Leaf:
        """A certificate for a client; no server can use it."""
        return self._leaf(name, ExtendedKeyUsageOID.CLIENT_AUTH, now, lifetime, x509.DNSName(name))

    def _leaf(
        self,
        name: str,
        usage: x509.ObjectIdentifier,
        now: datetime.datetime,
        lifetime: datetime.timedelta,
        alternative: x509.GeneralName,
    ) -> Leaf:
        key = ec.generate_private_key(ec.SECP256R1())
        # What outlives its authority is believed by nobody.
        until = min(now + lifetime, self.ends)
        # A common name has 64 characters at most; only the alternative name counts.
        certificate = (
            _builder(_name(name[:64]), self.certificate.subject, key.public_key(), now, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        return Leaf(pem, _key_pem(key), now + _SPENT * (until - now))


def client_context(authority: Authority, leaf: Leaf) -> ssl.SSLContext:
    """For a client that shows `leaf` and trusts servers of this authority alone."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    present(context, leaf)
    return context


def present(context: ssl.SSLContext, leaf: Leaf) -> None:
    """Has all connections that begin from now on show `leaf`; those that are open stay as they are."""
    # The ssl module reads certificates from files only.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "leaf.pem")
        path.touch(mode=0o600)
        path.write_bytes(leaf.certificate + leaf.key)
        context.load_cert_chain(path)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    until: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(until)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _subject_alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
