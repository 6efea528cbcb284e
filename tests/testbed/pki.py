"""The certificates of one cluster: a CA, the API server's, and one per client identity. EC P-256 throughout."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=3650)
API_SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
API_SERVER_ADDRESSES = ("127.0.0.1", "10.96.0.1")


@dataclass(frozen=True)
class Pki:
    """Certificates and keys in one folder, `<stem>.crt` and `<stem>.key`."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    def certificate(self, stem: str) -> Path:
        return self.folder / f"{stem}.crt"

    def key(self, stem: str) -> Path:
        return self.folder / f"{stem}.key"

    def create(self) -> None:
        """Makes everything the control plane starts with."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_ca()
        self._make_leaf("apiserver", "kube-apiserver", serves=(*API_SERVER_NAMES, *API_SERVER_ADDRESSES))
        self.add_client("admin", "testbed-admin", groups=("system:masters",))
        self.add_client("controller-manager", "system:kube-controller-manager")
        signer = ec.generate_private_key(ec.SECP256R1())
        self._write_key("service-account", signer)
        public = signer.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self.folder / "service-account.pub").write_bytes(public)

    def add_client(self, stem: str, user: str, groups: Sequence[str] = ()) -> None:
        """A client certificate: to the API server its holder is `user`, a member of `groups`."""
        self._make_leaf(stem, user, groups=groups)

    def add_server(self, stem: str, *addresses: str) -> None:
        """A certificate of what listens at these addresses."""
        self._make_leaf(stem, stem, serves=addresses)

    def _make_ca(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("testbed-ca")
        builder = (
            _builder(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        self._write("ca", key, builder.sign(key, hashes.SHA256()))

    def _make_leaf(self, stem: str, user: str, *, groups: Sequence[str] = (), serves: Sequence[str] = ()) -> None:
        authority = x509.load_pem_x509_certificate(self.ca.read_bytes())
        signer = serialization.load_pem_private_key(self.key("ca").read_bytes(), password=None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):  # an authority of kubeadm's is RSA
            raise TypeError(f"{self.key('ca')}: not a key that signs")
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _builder(_name(user, groups), authority.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if serves:
            names = x509.SubjectAlternativeName([_served(one) for one in serves])
            builder = builder.add_extension(names, critical=False)
        self._write(stem, key, builder.sign(signer, hashes.SHA256()))

    def _write(self, stem: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._write_key(stem, key)
        self.certificate(stem).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _write_key(self, stem: str, key: ec.EllipticCurvePrivateKey) -> None:
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.key(stem).touch(mode=0o600)
        self.key(stem).write_bytes(pem)


def _name(user: str, groups: Sequence[str] = ()) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _served(name: str) -> x509.GeneralName:
    """A name or an address, as what it is."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
