"""Valid and invalid certificate chains."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
PEM = serialization.Encoding.PEM


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Chain:
    """An authority and its certificate, valid by default."""

    def __init__(
        self,
        *,
        issuer: str = "Contoso Inspection",
        begins: datetime = NOW - DAY,
        ends: datetime = NOW + DAY,
        host: str = "localhost",
        critical: bool = True,
        identified: bool = True,
        authority: bool = True,
    ) -> None:
        root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        built = (
            x509.CertificateBuilder()
            .subject_name(name(issuer))
            .issuer_name(name(issuer))
            .public_key(root.public_key())
            .serial_number(1)
            .not_valid_before(NOW - 9 * DAY)
            .not_valid_after(NOW + 9 * DAY)
            .add_extension(x509.BasicConstraints(authority, None), critical)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(root.public_key()), critical=False)
        )
        if authority:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            built = built.add_extension(usage, critical=True)
        self.root = built.sign(root, hashes.SHA256())
        made = (
            x509.CertificateBuilder()
            .subject_name(name(host))
            .issuer_name(name(issuer))
            .public_key(leaf.public_key())
            .serial_number(2)
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        )
        if identified:
            made = made.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False
            )
        self.leaf = made.sign(root, hashes.SHA256())
        self.key = leaf.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
