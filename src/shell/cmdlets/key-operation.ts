// What keys are for: Invoke-AzKeyVaultKeyOperation (with Sign and Verify, which the genuine one lacks) and Get-AzKeyVaultRandomNumber.

import { fromBase64, toBase64, toBase64url } from '../base64.ts';
import { apiVersions } from '../client.ts';
import { ShellError } from '../errors.ts';
import { hsmIdRow, hsmNamed, hsmNameRow, hsmObjectRow, keyNamed } from '../hsm-names.ts';
import { callKey, keyPath } from '../keys.ts';
import { flagAt, textAt } from '../read.ts';
import { shape } from '../value.ts';
import { type Context, define } from './define.ts';
import { targetParameters, targetToken } from './key-rows.ts';

/** Our word for each operation, and the wire's. */
const operations = {
  Encrypt: 'encrypt',
  Decrypt: 'decrypt',
  Wrap: 'wrapkey',
  Unwrap: 'unwrapkey',
  Sign: 'sign',
  Verify: 'verify',
  SecureWrap: 'securewrapkey',
  SecureUnwrap: 'secureunwrapkey',
} as const;

export const algorithms = [
  ...['RSA1_5', 'RSA-OAEP', 'RSA-OAEP-256', 'A128KW', 'A192KW', 'A256KW', 'CKM_AES_KEY_WRAP', 'CKM_AES_KEY_WRAP_PAD'],
  ...['A128GCM', 'A192GCM', 'A256GCM', 'A128CBC', 'A192CBC', 'A256CBC', 'A128CBCPAD', 'A192CBCPAD', 'A256CBCPAD'],
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'RSNULL', 'ES256', 'ES256K', 'ES384', 'ES512', 'HS256', 'HS384', 'HS512'],
  ...['A128KWPAD', 'A192KWPAD', 'A256KWPAD'],
  ...['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'],
];

export const invokeKeyOperation = define({
  name: 'Invoke-AzKeyVaultKeyOperation',
  synopsis: 'Encrypts, decrypts, wraps, unwraps, signs or verifies with a key that never leaves the HSM.',
  description:
    'Sign and Verify take a digest, e.g. the 32 bytes of SHA-256 for RS256, which the HSM does not hash again; HMAC (HS…) and ML-DSA take the message itself. SecureWrap gives a fresh AES-256 key, wrapped; SecureUnwrap opens it for an environment that was attested.',
  parameters: {
    HsmName: { ...hsmNameRow, mandatory: ['ByHsmName'], position: 0 },
    Name: { type: 'string', aliases: ['KeyName'], mandatory: ['ByHsmName'], position: 1 },
    InputObject: {
      type: 'object',
      aliases: ['Key'],
      mandatory: ['ByKeyInputObject'],
      position: 0,
      fromPipeline: { value: ['PSKeyVaultKey', 'PSKeyVaultKeyIdentityItem'] },
    },
    Version: { type: 'string', aliases: ['KeyVersion'], help: 'The newest when not given.' },
    Operation: {
      type: 'string',
      mandatory: true,
      values: ['Encrypt', 'Decrypt', 'Wrap', 'Unwrap', 'Sign', 'Verify', 'SecureWrap', 'SecureUnwrap'],
    },
    Algorithm: {
      type: 'string',
      mandatory: true,
      aliases: ['EncryptionAlgorithm', 'WrapAlgorithm', 'SignatureAlgorithm'],
      suggestions: algorithms,
    },
    ByteArrayValue: { type: 'bytes', help: 'The data, the wrapped key, or the digest.' },
    InFile: { type: 'string', help: 'The file with those bytes, instead.' },
    OutFile: { type: 'string', help: 'Writes the result there, as bytes.' },
    Signature: { type: 'bytes', help: 'What Verify checks.' },
    SignatureFile: { type: 'string', help: 'The file with the signature, instead.' },
    Iv: { type: 'bytes', aliases: ['InitializationVector'], help: 'For AES: 16 bytes for CBC; for decrypting with GCM what Encrypt gave.' },
    AuthenticationTag: { type: 'bytes', help: 'For decrypting with GCM.' },
    Context: { type: 'bytes', help: 'For ML-DSA: up to 255 bytes that say what the signature is for.' },
    ...targetParameters,
    TrustedIssuer: { type: 'uri', help: 'For SecureUnwrap: the one authority that the application trusts.' },
    AdditionalAuthenticatedData: { type: 'bytes', aliases: ['Aad'], help: 'For GCM.' },
  },
  parameterSets: { default: 'ByHsmName', sets: { ByHsmName: ['HsmName', 'Name'], ByKeyInputObject: ['InputObject'] } },
  examples: [
    {
      code: 'Invoke-AzKeyVaultKeyOperation -HsmName contoso -Name signing -Operation Sign -Algorithm RS256 -InFile digest.bin -OutFile signature.bin',
      text: 'Signs a SHA-256 digest that openssl dgst -binary wrote.',
    },
  ],
  outputs: 'PSKeyOperationResult',
  async run(context, args) {
    const { hsm, name, version = '' } = keyNamed(args);
    const verifying = args.Operation === 'Verify';
    const body = {
      alg: args.Algorithm,
      ...(await workedOn(context, args)),
      ...(args.Operation === 'SecureUnwrap' ? { target: await targetToken(context, args.TargetFile) } : {}),
      ...(args.TrustedIssuer === undefined ? {} : { applicationTrustedIssuer: args.TrustedIssuer }),
      ...(args.Iv === undefined ? {} : { iv: toBase64url(args.Iv) }),
      ...(args.AuthenticationTag === undefined ? {} : { tag: toBase64url(args.AuthenticationTag) }),
      ...(args.Context === undefined ? {} : { context: toBase64url(args.Context) }),
      ...(args.AdditionalAuthenticatedData === undefined ? {} : { aad: toBase64url(args.AdditionalAuthenticatedData) }),
    };
    const path = `${keyPath('keys', name)}/${version}/${operations[args.Operation]}${versionFor(args)}`;
    const json = await callKey(context, hsm, 'POST', path, { body });
    const KeyId = textAt(json, 'kid') ?? '';
    if (verifying) return shape('PSKeyVerifyResult', { KeyId, IsValid: flagAt(json, 'value') ?? false, Algorithm: args.Algorithm });
    const RawResult = fromBase64(textAt(json, 'value') ?? '') ?? new Uint8Array();
    if (args.OutFile !== undefined) await context.host.writeBytes(args.OutFile, RawResult);
    return shape(
      'PSKeyOperationResult',
      {
        KeyId,
        RawResult,
        Algorithm: textAt(json, 'alg') ?? args.Algorithm,
        Iv: optionalBytes(json, 'iv'),
        AuthenticationTag: optionalBytes(json, 'tag'),
      },
      ['Iv', 'AuthenticationTag'],
    );
  },
});

interface Asked {
  readonly Operation: keyof typeof operations;
  readonly Algorithm: string;
  readonly ByteArrayValue: Uint8Array | undefined;
  readonly InFile: string | undefined;
  readonly Signature: Uint8Array | undefined;
  readonly SignatureFile: string | undefined;
}

/** What is worked on, as the operation calls it. SecureWrap makes what it wraps. */
async function workedOn(context: Context, args: Asked): Promise<{ digest?: string; value?: string }> {
  if (args.Operation === 'SecureWrap') {
    if (args.ByteArrayValue === undefined && args.InFile === undefined) return {};
    throw new ShellError('SecureWrap makes the key that it wraps; give it no value', { category: 'binding' });
  }
  const input = toBase64url(await bytesFrom(context, args.ByteArrayValue, args.InFile, '-ByteArrayValue or -InFile'));
  if (args.Operation !== 'Verify') return { value: input };
  const signature = await bytesFrom(context, args.Signature, args.SignatureFile, '-Signature or -SignatureFile');
  return { digest: input, value: toBase64url(signature) };
}

/** What needs a later version of the API than everything else, as the end of an address. */
function versionFor({ Operation, Algorithm }: Asked): string {
  if (Algorithm.startsWith('ML-DSA-')) return `?api-version=${apiVersions.mlDsa}`;
  return Operation.startsWith('Secure') ? `?api-version=${apiVersions.secureWrap}` : '';
}

async function bytesFrom(context: Context, bytes: Uint8Array | undefined, file: string | undefined, names: string): Promise<Uint8Array> {
  if (bytes !== undefined) return bytes;
  if (file !== undefined) return context.host.readBytes(file);
  throw new ShellError(`nothing to work on: give ${names}`, { category: 'binding' });
}

function optionalBytes(json: unknown, name: string): Uint8Array | undefined {
  const text = textAt(json, name);
  return text === undefined ? undefined : fromBase64(text);
}

export const getRandomNumber = define({
  name: 'Get-AzKeyVaultRandomNumber',
  synopsis: 'Random bytes from a managed HSM.',
  parameters: {
    HsmName: { ...hsmNameRow, mandatory: ['GetByHsmName'], position: 0 },
    InputObject: { ...hsmObjectRow, mandatory: ['GetByHsmInputObject'], position: 0 },
    ResourceId: { ...hsmIdRow, mandatory: ['GetByHsmResourceId'], position: 0 },
    Count: { type: 'int', mandatory: true, range: [1, 128], help: 'How many bytes.' },
    AsBase64String: { type: 'switch', help: 'As one text instead of numbers.' },
  },
  parameterSets: {
    default: 'GetByHsmName',
    sets: { GetByHsmName: ['HsmName'], GetByHsmInputObject: ['InputObject'], GetByHsmResourceId: ['ResourceId'] },
  },
  outputs: 'Byte',
  async run(context, args) {
    const hsm = hsmNamed({ HsmName: args.HsmName, HsmObject: args.InputObject, HsmResourceId: args.ResourceId });
    const json = await callKey(context, hsm, 'POST', '/rng', { body: { count: args.Count } });
    const bytes = fromBase64(textAt(json, 'value') ?? '') ?? new Uint8Array();
    return args.AsBase64String ? toBase64(bytes) : [...bytes];
  },
});
