"""The story that python.test.ts runs: an application that knows only the recipe it was given. Prints each chapter as it begins."""

import hashlib
import hmac
import os
import sys
from datetime import timedelta

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import EnvironmentCredential
from azure.keyvault.keys import ApiVersion, JsonWebKey, KeyClient, KeyCurveName, KeyRotationLifetimeAction, KeyRotationPolicy, KeyRotationPolicyAction
from azure.keyvault.keys.crypto import EncryptionAlgorithm as Encryption
from azure.keyvault.keys.crypto import KeyWrapAlgorithm as Wrap
from azure.keyvault.keys.crypto import SignatureAlgorithm as Signature
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import strongroom

OPEN, CLOSED = sys.argv[1:3]
MESSAGE = b"a message that is signed"
DIGEST = hashlib.sha256(MESSAGE).digest()
SECRET = os.urandom(32)

keys = strongroom.keys_of(OPEN)
crypt = strongroom.cryptography_with


def chapter(title):
    print(title, flush=True)


def refused(error, status, code, call):
    try:
        call()
    except error as reason:
        assert reason.status_code == status, reason
        assert reason.error.code == code, reason
        return reason.message
    raise AssertionError(f"this should have been refused with {status} {code}")


def number(value):
    return int.from_bytes(value, "big")


def octets(value, length=None):
    return value.to_bytes(length or (value.bit_length() + 7) // 8, "big")


def rsa_jwk(private):
    private_numbers = private.private_numbers()
    public = private_numbers.public_numbers
    return JsonWebKey(
        kty="RSA",
        n=octets(public.n),
        e=octets(public.e),
        d=octets(private_numbers.d),
        p=octets(private_numbers.p),
        q=octets(private_numbers.q),
        dp=octets(private_numbers.dmp1),
        dq=octets(private_numbers.dmq1),
        qi=octets(private_numbers.iqmp),
    )


def ec_jwk(private):
    private_numbers = private.private_numbers()
    point = private_numbers.public_numbers
    return JsonWebKey(kty="EC", crv="P-384", x=octets(point.x, 48), y=octets(point.y, 48), d=octets(private_numbers.private_value, 48))


def rsa_public(key):
    return rsa.RSAPublicNumbers(number(key.key.e), number(key.key.n)).public_key()


def ec_public(key, curve):
    return ec.EllipticCurvePublicNumbers(number(key.key.x), number(key.key.y), curve).public_key()


def check_rsa_signature(key, signature):
    rsa_public(key).verify(signature, DIGEST, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))


def check_ec_signature(key, curve, prehash, digest, signature):
    half = len(signature) // 2
    der = utils.encode_dss_signature(number(signature[:half]), number(signature[half:]))
    ec_public(key, curve).verify(der, digest, ec.ECDSA(utils.Prehashed(prehash)))


chapter("create a key of each type")
made = {
    "rsa": keys.create_rsa_key("rsa", size=2048, hardware_protected=True, tags={"made": "by python"}),
    "ec": keys.create_ec_key("ec", curve=KeyCurveName.p_256, hardware_protected=True),
    "oct": keys.create_oct_key("oct", size=256, hardware_protected=True),
}
assert [key.key_type for key in made.values()] == ["RSA-HSM", "EC-HSM", "oct-HSM"]
assert made["rsa"].id == f"{strongroom.hsm_url(OPEN)}/keys/rsa/{made['rsa'].properties.version}"
assert keys.get_key("rsa").properties.tags == {"made": "by python"}

chapter("import a key of each type")
own_rsa = rsa.generate_private_key(65537, 2048)
own_ec = ec.generate_private_key(ec.SECP384R1())
own_oct = os.urandom(32)
imported_rsa = keys.import_key("imported-rsa", rsa_jwk(own_rsa), hardware_protected=True)
imported_ec = keys.import_key("imported-ec", ec_jwk(own_ec), hardware_protected=True)
imported_oct = keys.import_key("imported-oct", JsonWebKey(kty="oct", k=own_oct), hardware_protected=True)
assert number(imported_rsa.key.n) == own_rsa.public_key().public_numbers().n
assert imported_rsa.key.d is None and imported_oct.key.k is None

chapter("list keys")
assert {key.name for key in keys.list_properties_of_keys()} == {"rsa", "ec", "oct", "imported-rsa", "imported-ec", "imported-oct"}

chapter("sign and verify")
for name in ["rsa", "imported-rsa"]:
    for algorithm in [Signature.rs256, Signature.ps256]:
        signature = crypt(keys.get_key(name)).sign(algorithm, DIGEST).signature
        assert crypt(keys.get_key(name)).verify(algorithm, DIGEST, signature).is_valid
signature = crypt(imported_rsa).sign(Signature.rs256, DIGEST).signature
check_rsa_signature(imported_rsa, signature)
check_ec_signature(made["ec"], ec.SECP256R1(), hashes.SHA256(), DIGEST, crypt(made["ec"]).sign(Signature.es256, DIGEST).signature)
long_digest = hashlib.sha384(MESSAGE).digest()
ec_signature = crypt(imported_ec).sign(Signature.es384, long_digest).signature
check_ec_signature(imported_ec, ec.SECP384R1(), hashes.SHA384(), long_digest, ec_signature)
assert crypt(imported_ec).verify(Signature.es384, long_digest, ec_signature).is_valid
code = crypt(imported_oct).sign(Signature.hs256, MESSAGE).signature
assert code == hmac.digest(own_oct, MESSAGE, "sha256")
assert crypt(imported_oct).verify(Signature.hs256, MESSAGE, code).is_valid
assert not crypt(imported_oct).verify(Signature.hs256, b"another message", code).is_valid

chapter("encrypt and decrypt")
for algorithm in [Encryption.rsa_oaep, Encryption.rsa_oaep_256, Encryption.rsa1_5]:
    sealed = crypt(made["rsa"]).encrypt(algorithm, SECRET).ciphertext
    assert crypt(made["rsa"]).decrypt(algorithm, sealed).plaintext == SECRET
sealed = crypt(imported_oct).encrypt(Encryption.a256_gcm, SECRET, additional_authenticated_data=b"about it")
assert AESGCM(own_oct).decrypt(sealed.iv, sealed.ciphertext + sealed.tag, b"about it") == SECRET
opened = crypt(imported_oct).decrypt(
    Encryption.a256_gcm, sealed.ciphertext, iv=sealed.iv, authentication_tag=sealed.tag, additional_authenticated_data=b"about it"
)
assert opened.plaintext == SECRET
iv = os.urandom(16)
sealed = crypt(made["oct"]).encrypt(Encryption.a256_cbcpad, MESSAGE, iv=iv)
assert crypt(made["oct"]).decrypt(Encryption.a256_cbcpad, sealed.ciphertext, iv=iv).plaintext == MESSAGE

chapter("wrap and unwrap")
for algorithm in [Wrap.rsa_oaep, Wrap.rsa_oaep_256]:
    wrapped = crypt(made["rsa"]).wrap_key(algorithm, SECRET).encrypted_key
    assert crypt(made["rsa"]).unwrap_key(algorithm, wrapped).key == SECRET
for algorithm, unwrap in [
    (Wrap.aes_256, keywrap.aes_key_unwrap),
    (Wrap.ckm_aes_key_wrap, keywrap.aes_key_unwrap),
    (Wrap.ckm_aes_key_wrap_pad, keywrap.aes_key_unwrap_with_padding),
]:
    wrapped = crypt(imported_oct).wrap_key(algorithm, SECRET).encrypted_key
    assert unwrap(own_oct, wrapped) == SECRET
    assert crypt(imported_oct).unwrap_key(algorithm, wrapped).key == SECRET

chapter("rotate")
wrapped = crypt(made["oct"]).wrap_key(Wrap.aes_256, SECRET).encrypted_key
policy = KeyRotationPolicy(
    lifetime_actions=[KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_before_expiry="P30D")], expires_in="P90D"
)
for name, first in made.items():
    assert keys.update_key_rotation_policy(name, policy).expires_in == "P90D"
    second = keys.rotate_key(name)
    assert second.properties.version != first.properties.version
    assert second.properties.expires_on - second.properties.created_on == timedelta(days=90)
    versions = {version.version for version in keys.list_properties_of_key_versions(name)}
    assert versions == {first.properties.version, second.properties.version}
assert crypt(made["oct"]).unwrap_key(Wrap.aes_256, wrapped).key == SECRET

chapter("back up, delete, purge, restore")
for name, first in made.items():
    backup = keys.backup_key(name)
    keys.begin_delete_key(name).wait()
    refused(ResourceNotFoundError, 404, "KeyNotFound", lambda: keys.get_key(name))
    refused(HttpResponseError, 409, "Conflict", lambda: keys.create_ec_key(name, hardware_protected=True))
    keys.purge_deleted_key(name)
    refused(ResourceNotFoundError, 404, "KeyNotFound", lambda: keys.get_deleted_key(name))
    keys.restore_key_backup(backup)
    assert len(list(keys.list_properties_of_key_versions(name))) == 2
    refused(HttpResponseError, 409, "Conflict", lambda: keys.restore_key_backup(backup))
assert crypt(made["oct"]).unwrap_key(Wrap.aes_256, wrapped).key == SECRET
refused(HttpResponseError, 400, "MalformedBackupBlob", lambda: keys.restore_key_backup(b"not a backup"))

chapter("delete and recover")
for name in made:
    keys.begin_delete_key(name).wait()
assert {key.name for key in keys.list_deleted_keys()} == set(made)
for name in made:
    assert keys.begin_recover_deleted_key(name).result().name == name
assert crypt(made["oct"]).unwrap_key(Wrap.aes_256, wrapped).key == SECRET

chapter("what may not be")
refused(ResourceNotFoundError, 404, "KeyNotFound", lambda: keys.get_key("never-made"))
refused(HttpResponseError, 400, "BadParameter", lambda: keys.create_rsa_key("odd", size=1234, hardware_protected=True))
keys.update_key_properties("ec", version=made["ec"].properties.version, enabled=False)
refused(HttpResponseError, 403, "Forbidden", lambda: crypt(made["ec"]).sign(Signature.es256, DIGEST))
closed = strongroom.keys_of(CLOSED)
words = refused(HttpResponseError, 403, "AccessDenied", lambda: closed.create_oct_key("k", hardware_protected=True))
assert "keys/create" in words, words
refused(HttpResponseError, 403, "AccessDenied", lambda: list(closed.list_properties_of_keys()))

chapter("random bytes")
assert len(keys.get_random_bytes(64)) == 64
assert keys.get_random_bytes(32) != keys.get_random_bytes(32)

chapter("earlier versions of the interface")
for version in [ApiVersion.V7_2, ApiVersion.V7_4, ApiVersion.V7_6]:
    older = KeyClient(strongroom.hsm_url(OPEN), strongroom.credential, api_version=version)
    assert older.get_key("rsa").name == "rsa"

chapter("a program that knows the environment alone, and is told that our tenant is adfs")
os.environ["AZURE_TENANT_ID"] = "adfs"
plain = KeyClient(strongroom.hsm_url(OPEN), EnvironmentCredential())
assert plain.get_key("rsa").name == "rsa"

print("the end")
