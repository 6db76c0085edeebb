// Keys that leave, and what an HSM says of those that stay: Invoke-StrongroomKeyRelease and Get-StrongroomKeyAttestation. Cmdlets of ours; the genuine
// module has none for this.

import { ShellError } from '../errors.ts';
import { hsmNameRow, keyNamed } from '../hsm-names.ts';
import { callKey, keyPath } from '../keys.ts';
import { textAt } from '../read.ts';
import { shape } from '../value.ts';
import { define } from './define.ts';
import { keyNameParameter, keyObjectParameter, targetParameters, targetToken, versionParameter } from './key-rows.ts';

const key = {
  HsmName: { ...hsmNameRow, mandatory: ['ByName'], position: 0 },
  Name: { ...keyNameParameter, mandatory: ['ByName'] },
  InputObject: { ...keyObjectParameter, aliases: ['Key'], mandatory: ['ByKey'] },
  Version: versionParameter,
} as const;
const keySets = { default: 'ByName', sets: { ByName: ['HsmName', 'Name'], ByKey: ['InputObject'] } } as const;

export const invokeKeyRelease = define({
  name: 'Invoke-StrongroomKeyRelease',
  synopsis: 'Releases an exportable key to an environment that was attested as its policy says, encrypted to the key of that environment.',
  parameters: {
    ...key,
    TargetFile: { ...targetParameters.TargetFile, mandatory: true },
    Nonce: { type: 'string', help: 'Comes back in the signed answer, which is then a new one.' },
    Encryption: {
      type: 'string',
      values: ['CKM_RSA_AES_KEY_WRAP', 'RSA_AES_KEY_WRAP_256', 'RSA_AES_KEY_WRAP_384'],
      help: 'How it is wrapped; CKM_RSA_AES_KEY_WRAP when not given.',
    },
    OutFile: { type: 'string', help: 'Writes the answer there.' },
  },
  parameterSets: keySets,
  changes: true,
  examples: [
    {
      code: 'Invoke-StrongroomKeyRelease -HsmName contoso -Name payroll -TargetFile attestation.jwt -OutFile release.jws',
      text: 'Releases a key; the answer is signed by the HSM, and only the environment can open what is in it.',
    },
  ],
  outputs: 'StrongroomKeyRelease',
  async run(context, args) {
    const { hsm, name, version } = keyNamed(args);
    const body = {
      target: await targetToken(context, args.TargetFile),
      ...(args.Nonce === undefined ? {} : { nonce: args.Nonce }),
      ...(args.Encryption === undefined ? {} : { enc: args.Encryption }),
    };
    if (!(await context.shouldProcess('Release key', name))) return undefined;
    const Value = textAt(await callKey(context, hsm, 'POST', `${keyPath('keys', name, version)}/release`, { body }), 'value') ?? '';
    if (args.OutFile !== undefined) await context.host.writeText(args.OutFile, Value, { mode: 0o600 });
    return shape('StrongroomKeyRelease', { HsmName: hsm, Name: name, Value });
  },
});

export const getKeyAttestation = define({
  name: 'Get-StrongroomKeyAttestation',
  synopsis:
    'What an HSM says of a key, signed under its own root: where it was made, and whether it can leave. And that it is kept by software.',
  description: './strongroom verify-attestation checks the file that -OutFile writes, with no service.',
  parameters: { ...key, OutFile: { type: 'string', help: 'Writes the answer there, as JSON.' } },
  parameterSets: keySets,
  examples: [{ code: 'Get-StrongroomKeyAttestation -HsmName contoso -Name signing -OutFile signing.json', text: 'Saves an attestation.' }],
  outputs: 'StrongroomKeyAttestation',
  async run(context, args) {
    const { hsm, name, version } = keyNamed(args);
    const json = await callKey(context, hsm, 'GET', `${keyPath('keys', name, version)}/attestation`);
    const said = (member: string) => textAt(json, 'attributes', 'attestation', member);
    if (said('privateKeyAttestation') === undefined)
      throw new ShellError('the service answered without an attestation', { category: 'operation' });
    if (args.OutFile !== undefined) await context.host.writeText(args.OutFile, `${JSON.stringify(json, null, 2)}\n`);
    return shape('StrongroomKeyAttestation', {
      KeyId: textAt(json, 'key', 'kid'),
      Version: said('version'),
      CertificatePemFile: said('certificatePemFile'),
      PrivateKeyAttestation: said('privateKeyAttestation'),
      PublicKeyAttestation: said('publicKeyAttestation'),
    });
  },
});
