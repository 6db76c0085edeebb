"""The story that python-recovery.test.ts runs: the security-domain client for Python downloads a domain and uploads it to another HSM. The offline half
between the two is our own command, because the SDK has none."""

import base64
import datetime
import hashlib
import json
import subprocess
import sys

import strongroom
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.securitydomain import SecurityDomainClient
from azure.keyvault.securitydomain.models import CertificateInfo, SecurityDomainJsonWebKey
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

LOST, NEW = sys.argv[1:3]
OFFLINE = sys.argv[3:]


def chapter(title):
    print(title, flush=True)


def refused(status, call):
    try:
        call()
    except HttpResponseError as reason:
        assert reason.status_code == status, reason
        return str(reason)
    raise AssertionError(f"this should have been refused with {status}")


def custodian(name):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    certificate = builder.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    with open(f"{name}.key", "wb") as file:
        file.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    with open(f"{name}.cer", "wb") as file:
        file.write(certificate.public_bytes(pem))
    return certificate


def jwk(certificate):
    der = certificate.public_bytes(serialization.Encoding.DER)
    numbers = certificate.public_key().public_numbers()
    url = lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("=")
    number = lambda value: url(value.to_bytes((value.bit_length() + 7) // 8, "big"))
    return SecurityDomainJsonWebKey(
        kid=certificate.subject.rfc4514_string(),
        kty="RSA",
        key_ops=["verify", "encrypt", "wrapKey"],
        n=number(numbers.n),
        e=number(numbers.e),
        x5_c=[base64.b64encode(der).decode()],
        x5_t=url(hashlib.sha1(der).digest()),
        x5_t_s256=url(hashlib.sha256(der).digest()),
        alg="RSA-OAEP-256",
    )


def client_of(hsm):
    return SecurityDomainClient(strongroom.keys_of(hsm).vault_url, strongroom.credential)


lost, new = client_of(LOST), client_of(NEW)

chapter("nothing was ever started, so there is nothing to wait for")
for ask in (lost.get_download_status, lost.get_upload_status):
    try:
        ask()
        raise AssertionError("there should be no status yet")
    except ResourceNotFoundError:
        pass

chapter("the domain is downloaded, and the poller ends when the HSM is active")
certificates = [custodian(name) for name in ("one", "two", "three")]
info = CertificateInfo(certificates=[jwk(certificate) for certificate in certificates], required=2)
refused(400, lambda: lost.begin_download(CertificateInfo(certificates=info.certificates[:2], required=2)))
poller = lost.begin_download(info)
domain = poller.result()
assert poller.status() == "Success", poller.status()
assert lost.get_download_status().status == "Success"
assert json.loads(domain.value)["SharedKeys"]["required"] == 2
with open("sd.json", "w", encoding="ascii") as file:
    file.write(domain.value)

chapter("the new HSM gives its exchange key, the same each time")
transfer = new.get_transfer_key()
key = json.loads(transfer["transfer_key"])
assert (transfer.key_format, key["kty"]) == ("jwk", "RSA")
assert json.loads(new.get_transfer_key()["transfer_key"]) == key
der = base64.b64decode(key["x5c"][0])
assert isinstance(x509.load_der_x509_certificate(der).public_key(), rsa.RSAPublicKey)
with open("exchange.cer", "wb") as file:
    file.write(x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM))
refused(409, lost.get_transfer_key)

chapter("two custodians make the blob, and the new HSM becomes the same domain")
words = ["security-domain", "restore-blob", "sd.json", "--exchange-key", "exchange.cer", "--out", "blob.json"]
subprocess.run([*OFFLINE, *words, "--key", "three.key", "--key", "one.key"], check=True)
with open("blob.json", encoding="ascii") as file:
    blob = file.read()
refused(400, lambda: new.begin_upload({"value": blob.replace("WrappedKey", "Wrapped")}))
new.begin_upload({"value": blob}).result()
assert new.get_upload_status().status == "Success"
refused(409, lambda: new.begin_upload({"value": blob}))

print("the end")
