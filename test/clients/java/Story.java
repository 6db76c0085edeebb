// The story that java.test.ts runs: an application that knows only the recipe it was given, Strongroom.java. Prints each chapter as it begins.

import com.azure.core.exception.HttpResponseException;
import com.azure.core.util.Context;
import com.azure.security.keyvault.keys.KeyClient;
import com.azure.security.keyvault.keys.cryptography.CryptographyClient;
import com.azure.security.keyvault.keys.cryptography.models.DecryptParameters;
import com.azure.security.keyvault.keys.cryptography.models.EncryptParameters;
import com.azure.security.keyvault.keys.cryptography.models.EncryptionAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.KeyWrapAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.SignatureAlgorithm;
import com.azure.security.keyvault.keys.models.CreateEcKeyOptions;
import com.azure.security.keyvault.keys.models.CreateOctKeyOptions;
import com.azure.security.keyvault.keys.models.CreateRsaKeyOptions;
import com.azure.security.keyvault.keys.models.JsonWebKey;
import com.azure.security.keyvault.keys.models.KeyCurveName;
import com.azure.security.keyvault.keys.models.KeyRotationLifetimeAction;
import com.azure.security.keyvault.keys.models.KeyRotationPolicy;
import com.azure.security.keyvault.keys.models.KeyRotationPolicyAction;
import com.azure.security.keyvault.keys.models.KeyVaultKey;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.security.Security;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

final class Story {
    private static final byte[] MESSAGE = "a message that is signed".getBytes();
    private static final SecureRandom RANDOM = new SecureRandom();

    public static void main(String[] names) throws Exception {
        KeyClient keys = Strongroom.keysOf(names[0]);
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(MESSAGE);
        byte[] secret = random(32);

        chapter("create a key of each type");
        Map<String, KeyVaultKey> made = new LinkedHashMap<>();
        made.put("rsa", keys.createRsaKey(new CreateRsaKeyOptions("rsa").setKeySize(2048).setHardwareProtected(true).setTags(Map.of("made", "by java"))));
        made.put("ec", keys.createEcKey(new CreateEcKeyOptions("ec").setCurveName(KeyCurveName.P_256).setHardwareProtected(true)));
        made.put("oct", keys.createOctKey(new CreateOctKeyOptions("oct").setKeySize(256).setHardwareProtected(true)));
        KeyVaultKey rsa = made.get("rsa");
        equal(rsa.getId(), Strongroom.hsmUrl(names[0]) + "/keys/rsa/" + rsa.getProperties().getVersion());
        equal(keys.getKey("rsa").getProperties().getTags(), Map.of("made", "by java"));

        chapter("import a key of each type");
        KeyPair ownRsa = pair("RSA");
        KeyPair ownEc = pair("EC");
        byte[] ownOct = random(32);
        KeyVaultKey importedRsa = keys.importKey("imported-rsa", JsonWebKey.fromRsa(ownRsa));
        KeyVaultKey importedEc = keys.importKey("imported-ec", JsonWebKey.fromEc(ownEc, Security.getProvider("SunEC")));
        KeyVaultKey importedOct = keys.importKey("imported-oct", JsonWebKey.fromAes(new SecretKeySpec(ownOct, "AES")));
        equal(importedRsa.getKey().hasPrivateKey() || importedOct.getKey().getK() != null, false);

        chapter("list keys");
        TreeSet<String> listed = new TreeSet<>();
        keys.listPropertiesOfKeys().forEach(key -> listed.add(key.getName()));
        equal(listed, new TreeSet<>(List.of("rsa", "ec", "oct", "imported-rsa", "imported-ec", "imported-oct")));

        chapter("sign and verify");
        byte[] signature = crypt(importedRsa).sign(SignatureAlgorithm.RS256, digest).getSignature();
        equal(verified("SHA256withRSA", ownRsa, signature), true);
        equal(crypt(importedRsa).verify(SignatureAlgorithm.RS256, digest, signature).isValid(), true);
        signature = crypt(rsa).sign(SignatureAlgorithm.PS256, digest).getSignature();
        equal(crypt(rsa).verify(SignatureAlgorithm.PS256, digest, signature).isValid(), true);
        for (KeyVaultKey ec : List.of(made.get("ec"), importedEc)) {
            signature = crypt(ec).sign(SignatureAlgorithm.ES256, digest).getSignature();
            equal(crypt(ec).verify(SignatureAlgorithm.ES256, digest, signature).isValid(), true);
        }
        equal(verified("SHA256withECDSAinP1363Format", ownEc, signature), true);
        byte[] code = crypt(importedOct).sign(SignatureAlgorithm.HS256, digest).getSignature();
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(ownOct, "HmacSHA256"));
        equal(code, mac.doFinal(digest));
        equal(crypt(importedOct).verify(SignatureAlgorithm.HS256, digest, code).isValid(), true);

        chapter("encrypt and decrypt");
        for (EncryptionAlgorithm algorithm : List.of(EncryptionAlgorithm.RSA_OAEP, EncryptionAlgorithm.RSA_OAEP_256, EncryptionAlgorithm.RSA1_5)) {
            byte[] sealed = crypt(rsa).encrypt(algorithm, secret).getCipherText();
            equal(crypt(rsa).decrypt(algorithm, sealed).getPlainText(), secret);
        }
        sealWithGcm(crypt(importedOct), ownOct, secret);
        byte[] iv = random(16);
        byte[] sealed = crypt(made.get("oct")).encrypt(EncryptParameters.createA256CbcPadParameters(MESSAGE, iv), Context.NONE).getCipherText();
        equal(crypt(made.get("oct")).decrypt(DecryptParameters.createA256CbcPadParameters(sealed, iv), Context.NONE).getPlainText(), MESSAGE);

        chapter("wrap and unwrap");
        for (KeyWrapAlgorithm algorithm : List.of(KeyWrapAlgorithm.RSA_OAEP, KeyWrapAlgorithm.RSA_OAEP_256)) {
            byte[] wrapped = crypt(rsa).wrapKey(algorithm, secret).getEncryptedKey();
            equal(crypt(rsa).unwrapKey(algorithm, wrapped).getKey(), secret);
        }
        for (KeyWrapAlgorithm algorithm : List.of(KeyWrapAlgorithm.A256KW, KeyWrapAlgorithm.CKM_AES_KEY_WRAP, KeyWrapAlgorithm.CKM_AES_KEY_WRAP_PAD)) {
            byte[] wrapped = crypt(importedOct).wrapKey(algorithm, secret).getEncryptedKey();
            equal(crypt(importedOct).unwrapKey(algorithm, wrapped).getKey(), secret);
        }
        byte[] kept = crypt(importedOct).wrapKey(KeyWrapAlgorithm.A256KW, secret).getEncryptedKey();
        Cipher wrapping = Cipher.getInstance("AES/KW/NoPadding");
        wrapping.init(Cipher.DECRYPT_MODE, new SecretKeySpec(ownOct, "AES"));
        equal(wrapping.doFinal(kept), secret);
        byte[] wrapped = crypt(made.get("oct")).wrapKey(KeyWrapAlgorithm.A256KW, secret).getEncryptedKey();

        chapter("rotate");
        KeyRotationPolicy policy = new KeyRotationPolicy().setExpiresIn("P90D")
            .setLifetimeActions(List.of(new KeyRotationLifetimeAction(KeyRotationPolicyAction.ROTATE).setTimeBeforeExpiry("P30D")));
        for (Map.Entry<String, KeyVaultKey> first : made.entrySet()) {
            equal(keys.updateKeyRotationPolicy(first.getKey(), policy).getExpiresIn(), "P90D");
            KeyVaultKey second = keys.rotateKey(first.getKey());
            equal(second.getId().equals(first.getValue().getId()), false);
            equal(Duration.between(second.getProperties().getCreatedOn(), second.getProperties().getExpiresOn()).toDays(), 90L);
            equal(keys.listPropertiesOfKeyVersions(first.getKey()).stream().count(), 2L);
        }
        equal(crypt(made.get("oct")).unwrapKey(KeyWrapAlgorithm.A256KW, wrapped).getKey(), secret);

        chapter("back up, delete, purge, restore");
        for (String name : made.keySet()) {
            byte[] backup = keys.backupKey(name);
            keys.beginDeleteKey(name).setPollInterval(Duration.ofMillis(100)).waitForCompletion();
            refused(404, "KeyNotFound", () -> keys.getKey(name));
            keys.purgeDeletedKey(name);
            refused(404, "KeyNotFound", () -> keys.getDeletedKey(name));
            keys.restoreKeyBackup(backup);
            equal(keys.listPropertiesOfKeyVersions(name).stream().count(), 2L);
            refused(409, "Conflict", () -> keys.restoreKeyBackup(backup));
        }
        equal(crypt(made.get("oct")).unwrapKey(KeyWrapAlgorithm.A256KW, wrapped).getKey(), secret);

        chapter("delete and recover");
        for (String name : made.keySet()) {
            keys.beginDeleteKey(name).setPollInterval(Duration.ofMillis(100)).waitForCompletion();
            equal(keys.getDeletedKey(name).getName(), name);
            keys.beginRecoverDeletedKey(name).setPollInterval(Duration.ofMillis(100)).waitForCompletion();
        }
        equal(crypt(made.get("oct")).unwrapKey(KeyWrapAlgorithm.A256KW, wrapped).getKey(), secret);

        chapter("what may not be");
        refused(404, "KeyNotFound", () -> keys.getKey("never-made"));
        refused(400, "BadParameter", () -> keys.createRsaKey(new CreateRsaKeyOptions("odd").setKeySize(1234).setHardwareProtected(true)));
        KeyVaultKey disabled = keys.updateKeyProperties(made.get("ec").getProperties().setEnabled(false));
        equal(Set.copyOf(disabled.getKeyOperations()), Set.copyOf(made.get("ec").getKeyOperations()));
        refused(403, "Forbidden", () -> crypt(made.get("ec")).sign(SignatureAlgorithm.ES256, digest));
        KeyClient closed = Strongroom.keysOf(names[1]);
        refused(403, "AccessDenied", () -> closed.createOctKey(new CreateOctKeyOptions("k").setHardwareProtected(true)));
        refused(403, "AccessDenied", () -> closed.listPropertiesOfKeys().stream().count());

        chapter("random bytes");
        equal(keys.getRandomBytes(64).length, 64);

        System.out.println("the end");
    }

    private static void chapter(String title) {
        System.out.println(title);
    }

    private static CryptographyClient crypt(KeyVaultKey key) {
        return Strongroom.cryptographyWith(key.getId());
    }

    private static KeyPair pair(String kind) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance(kind);
        if (kind.equals("EC")) generator.initialize(new ECGenParameterSpec("secp256r1"));
        else generator.initialize(2048);
        return generator.generateKeyPair();
    }

    private static boolean verified(String algorithm, KeyPair pair, byte[] signature) throws Exception {
        Signature check = Signature.getInstance(algorithm);
        check.initVerify(pair.getPublic());
        check.update(MESSAGE);
        return check.verify(signature);
    }

    /** The HSM seals, the JDK opens; and the HSM opens what the JDK seals. */
    private static void sealWithGcm(CryptographyClient hsm, byte[] key, byte[] plain) throws Exception {
        byte[] about = "about it".getBytes();
        var sealed = hsm.encrypt(EncryptParameters.createA256GcmParameters(plain, about), Context.NONE);
        byte[] whole = Arrays.copyOf(sealed.getCipherText(), plain.length + 16);
        System.arraycopy(sealed.getAuthenticationTag(), 0, whole, plain.length, 16);
        equal(gcm(Cipher.DECRYPT_MODE, key, sealed.getIv(), about).doFinal(whole), plain);

        byte[] iv = random(12);
        byte[] own = gcm(Cipher.ENCRYPT_MODE, key, iv, about).doFinal(plain);
        byte[] text = Arrays.copyOf(own, plain.length);
        byte[] tag = Arrays.copyOfRange(own, plain.length, own.length);
        equal(hsm.decrypt(DecryptParameters.createA256GcmParameters(text, iv, tag, about), Context.NONE).getPlainText(), plain);
    }

    private static Cipher gcm(int mode, byte[] key, byte[] iv, byte[] about) throws Exception {
        Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
        cipher.init(mode, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, iv));
        cipher.updateAAD(about);
        return cipher;
    }

    private static byte[] random(int count) {
        byte[] bytes = new byte[count];
        RANDOM.nextBytes(bytes);
        return bytes;
    }

    private static void refused(int status, String code, Runnable call) {
        try {
            call.run();
        } catch (HttpResponseException reason) {
            equal(reason.getResponse().getStatusCode(), status);
            equal(reason.getMessage().contains(code), true);
            return;
        }
        throw new AssertionError("this should have been refused with " + status + " " + code);
    }

    private static void equal(Object got, Object wanted) {
        boolean same = got instanceof byte[] one && wanted instanceof byte[] other ? Arrays.equals(one, other) : got.equals(wanted);
        if (!same) throw new AssertionError(got + " is not " + wanted);
    }
}
