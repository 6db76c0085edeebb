// The story that go.test.ts runs: an application that knows only the recipe it was given, strongroom.go. Prints each chapter as it begins.

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"os"
	"reflect"
	"sort"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

var (
	ctx    = context.Background()
	digest = sha256.Sum256([]byte("a message that is signed"))
	keys   *azkeys.Client
)

func main() {
	open, closed := os.Args[1], os.Args[2]
	keys = must(keysOf(open))
	secret := randomBytes(32)

	chapter("create a key of each type")
	made := map[string]*azkeys.KeyBundle{
		"rsa": create("rsa", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeRSAHSM), KeySize: to.Ptr(int32(2048)), Tags: map[string]*string{"made": to.Ptr("by go")}}),
		"ec":  create("ec", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeECHSM), Curve: to.Ptr(azkeys.CurveNameP256)}),
		"oct": create("oct", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeOctHSM), KeySize: to.Ptr(int32(256))}),
	}
	first := made["rsa"].Key.KID
	equal(string(*first), hsmURL(open)+"/keys/rsa/"+first.Version())
	equal(*must(keys.GetKey(ctx, "rsa", "", nil)).Tags["made"], "by go")

	chapter("import a key of each type")
	ownRsa := must(rsa.GenerateKey(rand.Reader, 2048))
	ownEc := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ownOct := randomBytes(32)
	importedRsa := importKey("imported-rsa", rsaJWK(ownRsa))
	importKey("imported-ec", ecJWK(ownEc))
	importedOct := importKey("imported-oct", &azkeys.JSONWebKey{Kty: to.Ptr(azkeys.KeyTypeOct), K: ownOct})
	equal(new(big.Int).SetBytes(importedRsa.Key.N).Cmp(ownRsa.N), 0)
	equal(len(importedRsa.Key.D)+len(importedOct.Key.K), 0)

	chapter("list keys")
	equal(listed(), []string{"ec", "imported-ec", "imported-oct", "imported-rsa", "oct", "rsa"})

	chapter("sign and verify")
	for name, algorithms := range map[string][]azkeys.SignatureAlgorithm{
		"rsa":          {azkeys.SignatureAlgorithmRS256, azkeys.SignatureAlgorithmPS256},
		"imported-rsa": {azkeys.SignatureAlgorithmRS256, azkeys.SignatureAlgorithmPS256},
		"ec":           {azkeys.SignatureAlgorithmES256},
		"imported-ec":  {azkeys.SignatureAlgorithmES256},
		"oct":          {azkeys.SignatureAlgorithmHS256},
		"imported-oct": {azkeys.SignatureAlgorithmHS256},
	} {
		for _, algorithm := range algorithms {
			signature := sign(name, algorithm)
			equal(verify(name, algorithm, signature), true)
			signature[len(signature)/2] ^= 1
			equal(verify(name, algorithm, signature), false)
		}
	}
	check(rsa.VerifyPKCS1v15(&ownRsa.PublicKey, crypto.SHA256, digest[:], sign("imported-rsa", azkeys.SignatureAlgorithmRS256)))
	check(rsa.VerifyPSS(&ownRsa.PublicKey, crypto.SHA256, digest[:], sign("imported-rsa", azkeys.SignatureAlgorithmPS256), nil))
	own := must(rsa.SignPKCS1v15(rand.Reader, ownRsa, crypto.SHA256, digest[:]))
	equal(verify("imported-rsa", azkeys.SignatureAlgorithmRS256, own), true)
	point := sign("imported-ec", azkeys.SignatureAlgorithmES256)
	equal(ecdsa.Verify(&ownEc.PublicKey, digest[:], new(big.Int).SetBytes(point[:32]), new(big.Int).SetBytes(point[32:])), true)
	code := hmac.New(sha256.New, ownOct)
	code.Write(digest[:])
	equal(sign("imported-oct", azkeys.SignatureAlgorithmHS256), code.Sum(nil))

	chapter("encrypt and decrypt")
	for _, algorithm := range []azkeys.EncryptionAlgorithm{azkeys.EncryptionAlgorithmRSAOAEP, azkeys.EncryptionAlgorithmRSAOAEP256, azkeys.EncryptionAlgorithmRSA15} {
		sealed := must(keys.Encrypt(ctx, "rsa", "", azkeys.KeyOperationParameters{Algorithm: &algorithm, Value: secret}, nil))
		opened := must(keys.Decrypt(ctx, "rsa", sealed.KID.Version(), azkeys.KeyOperationParameters{Algorithm: &algorithm, Value: sealed.Result}, nil))
		equal(opened.Result, secret)
	}
	own = must(rsa.EncryptOAEP(sha256.New(), rand.Reader, &ownRsa.PublicKey, secret, nil))
	equal(must(keys.Decrypt(ctx, "imported-rsa", "", azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP256), Value: own}, nil)).Result, secret)
	sealWithGCM(ownOct, secret)
	cbc := azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmA256CBCPAD), Value: secret[:21], IV: randomBytes(16)}
	sealed := must(keys.Encrypt(ctx, "oct", "", cbc, nil))
	cbc.Value = sealed.Result
	equal(must(keys.Decrypt(ctx, "oct", "", cbc, nil)).Result, secret[:21])

	chapter("wrap and unwrap")
	for name, algorithms := range map[string][]azkeys.EncryptionAlgorithm{
		"rsa": {azkeys.EncryptionAlgorithmRSAOAEP, azkeys.EncryptionAlgorithmRSAOAEP256},
		"oct": {azkeys.EncryptionAlgorithmA256KW, azkeys.EncryptionAlgorithmCKMAESKEYWRAP, azkeys.EncryptionAlgorithmCKMAESKEYWRAPPAD},
	} {
		for _, algorithm := range algorithms {
			equal(unwrap(name, algorithm, wrap(name, algorithm, secret)), secret)
		}
	}
	wrapped := wrap("oct", azkeys.EncryptionAlgorithmA256KW, secret)

	chapter("rotate")
	policy := azkeys.KeyRotationPolicy{
		Attributes: &azkeys.KeyRotationPolicyAttributes{ExpiryTime: to.Ptr("P90D")},
		LifetimeActions: []*azkeys.LifetimeAction{{
			Action:  &azkeys.LifetimeActionType{Type: to.Ptr(azkeys.KeyRotationPolicyActionRotate)},
			Trigger: &azkeys.LifetimeActionTrigger{TimeBeforeExpiry: to.Ptr("P30D")},
		}},
	}
	for name, before := range made {
		equal(*must(keys.UpdateKeyRotationPolicy(ctx, name, policy, nil)).Attributes.ExpiryTime, "P90D")
		after := must(keys.RotateKey(ctx, name, nil))
		equal(after.Key.KID.Version() != before.Key.KID.Version(), true)
		equal(after.Attributes.Expires.Sub(*after.Attributes.Created).Hours(), 90*24.0)
		equal(versionsOf(name), 2)
	}
	old := azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmA256KW), Value: wrapped}
	equal(must(keys.UnwrapKey(ctx, "oct", made["oct"].Key.KID.Version(), old, nil)).Result, secret)

	chapter("back up, delete, purge, restore")
	var backup []byte
	for name := range made {
		backup = must(keys.BackupKey(ctx, name, nil)).Value
		must(keys.DeleteKey(ctx, name, nil))
		refused(404, "KeyNotFound", fails(keys.GetKey(ctx, name, "", nil)))
		must(keys.PurgeDeletedKey(ctx, name, nil))
		refused(404, "KeyNotFound", fails(keys.GetDeletedKey(ctx, name, nil)))
		must(keys.RestoreKey(ctx, azkeys.RestoreKeyParameters{KeyBackup: backup}, nil))
		equal(versionsOf(name), 2)
	}
	refused(409, "Conflict", fails(keys.RestoreKey(ctx, azkeys.RestoreKeyParameters{KeyBackup: backup}, nil)))
	equal(must(keys.UnwrapKey(ctx, "oct", made["oct"].Key.KID.Version(), old, nil)).Result, secret)

	chapter("delete and recover")
	for name := range made {
		must(keys.DeleteKey(ctx, name, nil))
		equal(must(keys.GetDeletedKey(ctx, name, nil)).Key.KID.Name(), name)
		must(keys.RecoverDeletedKey(ctx, name, nil))
	}
	equal(must(keys.UnwrapKey(ctx, "oct", made["oct"].Key.KID.Version(), old, nil)).Result, secret)

	chapter("what may not be")
	refused(404, "KeyNotFound", fails(keys.GetKey(ctx, "never-made", "", nil)))
	refused(400, "BadParameter", fails(keys.CreateKey(ctx, "odd", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeRSAHSM), KeySize: to.Ptr(int32(1234))}, nil)))
	refused(400, "BadParameter", fails(keys.Sign(ctx, "ec", "", azkeys.SignParameters{Algorithm: to.Ptr(azkeys.SignatureAlgorithmRS256), Value: digest[:]}, nil)))
	refused(403, "Forbidden", fails(keys.Encrypt(ctx, "ec", "", azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP), Value: secret}, nil)))
	disabled := azkeys.UpdateKeyParameters{KeyAttributes: &azkeys.KeyAttributes{Enabled: to.Ptr(false)}}
	must(keys.UpdateKey(ctx, "ec", "", disabled, nil))
	refused(403, "Forbidden", fails(keys.Sign(ctx, "ec", "", azkeys.SignParameters{Algorithm: to.Ptr(azkeys.SignatureAlgorithmES256), Value: digest[:]}, nil)))
	stranger := must(keysOf(closed))
	words := refused(403, "AccessDenied", fails(stranger.CreateKey(ctx, "k", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeOctHSM)}, nil)))
	equal(strings.Contains(words, "keys/create"), true)

	chapter("random bytes")
	equal(len(must(keys.GetRandomBytes(ctx, azkeys.GetRandomBytesParameters{Count: to.Ptr(int32(64))}, nil)).Value), 64)

	fmt.Println("the end")
}

func chapter(title string) { fmt.Println(title) }

func create(name string, parameters azkeys.CreateKeyParameters) *azkeys.KeyBundle {
	return to.Ptr(must(keys.CreateKey(ctx, name, parameters, nil)).KeyBundle)
}

func importKey(name string, key *azkeys.JSONWebKey) *azkeys.KeyBundle {
	return to.Ptr(must(keys.ImportKey(ctx, name, azkeys.ImportKeyParameters{Key: key}, nil)).KeyBundle)
}

func rsaJWK(key *rsa.PrivateKey) *azkeys.JSONWebKey {
	return &azkeys.JSONWebKey{
		Kty: to.Ptr(azkeys.KeyTypeRSA),
		N:   key.N.Bytes(), E: big.NewInt(int64(key.E)).Bytes(), D: key.D.Bytes(),
		P: key.Primes[0].Bytes(), Q: key.Primes[1].Bytes(),
		DP: key.Precomputed.Dp.Bytes(), DQ: key.Precomputed.Dq.Bytes(), QI: key.Precomputed.Qinv.Bytes(),
	}
}

func ecJWK(key *ecdsa.PrivateKey) *azkeys.JSONWebKey {
	public := must(key.PublicKey.ECDH()).Bytes()
	return &azkeys.JSONWebKey{
		Kty: to.Ptr(azkeys.KeyTypeEC), Crv: to.Ptr(azkeys.CurveNameP256),
		X: public[1:33], Y: public[33:], D: must(key.ECDH()).Bytes(),
	}
}

func sign(name string, algorithm azkeys.SignatureAlgorithm) []byte {
	return must(keys.Sign(ctx, name, "", azkeys.SignParameters{Algorithm: &algorithm, Value: digest[:]}, nil)).Result
}

func verify(name string, algorithm azkeys.SignatureAlgorithm, signature []byte) bool {
	return *must(keys.Verify(ctx, name, "", azkeys.VerifyParameters{Algorithm: &algorithm, Digest: digest[:], Signature: signature}, nil)).Value
}

func wrap(name string, algorithm azkeys.EncryptionAlgorithm, value []byte) []byte {
	return must(keys.WrapKey(ctx, name, "", azkeys.KeyOperationParameters{Algorithm: &algorithm, Value: value}, nil)).Result
}

func unwrap(name string, algorithm azkeys.EncryptionAlgorithm, value []byte) []byte {
	return must(keys.UnwrapKey(ctx, name, "", azkeys.KeyOperationParameters{Algorithm: &algorithm, Value: value}, nil)).Result
}

// The HSM seals, the standard library opens; and the HSM opens what the standard library seals.
func sealWithGCM(key []byte, plain []byte) {
	about := []byte("about it")
	parameters := azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmA256GCM), Value: plain, AdditionalAuthenticatedData: about}
	sealed := must(keys.Encrypt(ctx, "imported-oct", "", parameters, nil))
	gcm := must(cipher.NewGCM(must(aes.NewCipher(key))))
	equal(must(gcm.Open(nil, sealed.IV, append(sealed.Result, sealed.AuthenticationTag...), about)), plain)
	parameters.IV = randomBytes(12)
	own := gcm.Seal(nil, parameters.IV, plain, about)
	parameters.Value, parameters.AuthenticationTag = own[:len(plain)], own[len(plain):]
	equal(must(keys.Decrypt(ctx, "imported-oct", "", parameters, nil)).Result, plain)
}

func listed() []string {
	var names []string
	for pager := keys.NewListKeyPropertiesPager(nil); pager.More(); {
		for _, key := range must(pager.NextPage(ctx)).Value {
			names = append(names, key.KID.Name())
		}
	}
	sort.Strings(names)
	return names
}

func versionsOf(name string) int {
	count := 0
	for pager := keys.NewListKeyPropertiesVersionsPager(name, nil); pager.More(); {
		count += len(must(pager.NextPage(ctx)).Value)
	}
	return count
}

func randomBytes(count int) []byte {
	value := make([]byte, count)
	must(rand.Read(value))
	return value
}

func refused(status int, code string, err error) string {
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) || answer.StatusCode != status || answer.ErrorCode != code {
		panic(fmt.Sprintf("this should have been refused with %d %s, and was: %v", status, code, err))
	}
	return answer.Error()
}

func fails[Answer any](_ Answer, err error) error { return err }

func must[Value any](value Value, err error) Value {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(got any, wanted any) {
	one, isBytes := got.([]byte)
	if isBytes && bytes.Equal(one, wanted.([]byte)) {
		return
	}
	if !reflect.DeepEqual(got, wanted) {
		panic(fmt.Sprintf("%v is not %v", got, wanted))
	}
}
