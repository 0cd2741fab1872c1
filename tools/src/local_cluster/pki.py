"""A cluster's own certificate authority and everything it signs."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = datetime.timedelta(days=365)
_PRIVATE = 0o600


@dataclass(frozen=True)
class Identity:
    """A certificate's subject: a user and a group to Kubernetes, and where it may serve."""

    name: str
    """The file's name: NAME.crt and NAME.key."""
    user: str
    group: str | None = None
    hosts: tuple[str, ...] = ()
    """DNS names and IP addresses it answers at; empty for a pure client."""


@dataclass(frozen=True)
class Authority:
    """A certificate authority that can sign."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def identities(node: str, api_hosts: Sequence[str], node_hosts: Sequence[str]) -> list[Identity]:
    """Who takes part in a cluster.

    Args:
        node: the node's name.
        api_hosts: addresses at which the API server is reached, the Service `kubernetes` included.
        node_hosts: addresses of the kubelet.
    """
    service = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    )
    masters = "system:masters"
    return [
        Identity("apiserver", "kube-apiserver", hosts=("localhost", "127.0.0.1", *service, *api_hosts)),
        Identity("apiserver-kubelet-client", "kube-apiserver-kubelet-client", masters),
        Identity("etcd", "etcd", hosts=("localhost", "127.0.0.1")),
        Identity("admin", "kubernetes-admin", masters),
        Identity("kube-controller-manager", "system:kube-controller-manager"),
        Identity("kube-scheduler", "system:kube-scheduler"),
        Identity("kube-proxy", "system:kube-proxy"),
        Identity("kubelet", f"system:node:{node}", "system:nodes"),
        Identity("kubelet-serving", f"system:node:{node}", "system:nodes", hosts=(node, *node_hosts)),
    ]


def write(folder: Path, wanted: Iterable[Identity]) -> None:
    """Fills the folder: ca, front-proxy-ca with its client, the service accounts' key, and the identities."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _new_authority("local-cluster")
    _store(folder, "ca", authority.certificate, authority.key)
    for identity in wanted:
        certificate, key = _sign(authority, identity)
        _store(folder, identity.name, certificate, key)
    # The aggregation layer trusts a header that this second authority vouches for; never the first one.
    front = _new_authority("local-cluster-front-proxy")
    _store(folder, "front-proxy-ca", front.certificate, front.key)
    certificate, key = _sign(front, Identity("front-proxy-client", "front-proxy-client"))
    _store(folder, "front-proxy-client", certificate, key)
    tokens = ec.generate_private_key(ec.SECP256R1())
    _write_private(folder / "service-accounts.key", _pem(tokens))
    (folder / "service-accounts.pub").write_bytes(
        tokens.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def kubeconfig(folder: Path, name: str, server: str, cluster: str) -> str:
    """A kubeconfig for one identity, with its key inside, so that the file can be copied about."""

    def embedded(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": cluster,
                    "cluster": {"server": server, "certificate-authority-data": embedded("ca.crt")},
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {
                        "client-certificate-data": embedded(f"{name}.crt"),
                        "client-key-data": embedded(f"{name}.key"),
                    },
                }
            ],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": name}}],
            "current-context": cluster,
        },
        sort_keys=False,
    )


def _new_authority(name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def _sign(authority: Authority, identity: Identity) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, identity.user)]
    if identity.group is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.group))
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if identity.hosts:
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
    builder = (
        _builder(x509.Name(attributes), authority.certificate.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    if identity.hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in identity.hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(authority.key, hashes.SHA256()), key


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _LIFETIME)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _store(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_private(folder / f"{name}.key", _pem(key))


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=_PRIVATE)
    path.write_bytes(content)
