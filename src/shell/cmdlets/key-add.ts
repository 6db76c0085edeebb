// Add-AzKeyVaultKey: a new key, or one that the user has in a file.

import { apiVersions } from '../client.ts';
import { ShellError } from '../errors.ts';
import { hsmNamed, hsmNameRow } from '../hsm-names.ts';
import { keyFromFile } from '../key-files.ts';
import { callKey, keyPath, keyShape } from '../keys.ts';
import { define, tagParameter, tagsOf } from './define.ts';
import {
  dateParameters,
  dates,
  hsmIdParameter,
  hsmObjectParameter,
  keyNameParameter,
  keyOps,
  releaseParameters,
  releasePolicy,
  writePublicKey,
} from './key-rows.ts';

const made = ['KeyType', 'Size', 'Algorithm'] as const;
const brought = ['KeyFilePath', 'KeyFilePassword', 'KeyType'] as const;
const imports = ['HsmInteractiveImport', 'HsmInputObjectImport', 'HsmResourceIdImport'];

export const addKey = define({
  name: 'Add-AzKeyVaultKey',
  aliases: ['Add-AzManagedHsmKey'],
  synopsis: 'Creates a key in a managed HSM, imports one from a file, or adds a version to a key.',
  description:
    'A file is a private key in PEM, PKCS#8 or PFX, which travels to the HSM as it is; a .byok file, in which it travels wrapped; or, with -KeyType oct, the bytes of a symmetric key.',
  parameters: {
    HsmName: { ...hsmNameRow, mandatory: ['HsmInteractiveCreate', 'HsmInteractiveImport'], position: 0 },
    HsmObject: { ...hsmObjectParameter, mandatory: ['HsmInputObjectCreate', 'HsmInputObjectImport'], position: 0 },
    HsmResourceId: { ...hsmIdParameter, mandatory: ['HsmResourceIdCreate', 'HsmResourceIdImport'] },
    Name: { ...keyNameParameter, mandatory: true },
    KeyType: {
      type: 'string',
      mandatory: ['HsmInteractiveCreate', 'HsmInputObjectCreate', 'HsmResourceIdCreate'],
      values: ['RSA', 'RSA-HSM', 'EC', 'EC-HSM', 'oct', 'oct-HSM', 'AKP', 'AKP-HSM'],
      help: 'Always kept as -HSM. With a .byok file RSA when not given.',
    },
    KeyFilePath: { type: 'string', mandatory: imports, help: 'The file with the key to import.' },
    KeyFilePassword: { type: 'securestring', help: 'What opens that file; asked for when it is needed and not given.' },
    Size: { type: 'int', help: 'Bits: 2048, 3072 or 4096 for RSA, 128, 192 or 256 for oct.' },
    CurveName: { type: 'string', values: ['P-256', 'P-256K', 'P-384', 'P-521'] },
    Algorithm: { type: 'string', values: ['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'], help: 'What a key of type AKP signs with.' },
    KeyOps: { type: 'string[]', values: keyOps, help: 'What the key may be used for.' },
    Disable: { type: 'switch', help: 'It cannot be used until it is enabled.' },
    ...dateParameters,
    Tag: tagParameter,
    Exportable: { type: 'switch', help: 'The key may be released to whom -ReleasePolicyPath says.' },
    ...releaseParameters,
    UseDefaultCVMPolicy: { type: 'switch', help: "Refused: there is no policy of Azure's confidential machines here." },
    Destination: { type: 'string', values: ['HSM', 'Software'], help: 'HSM, which is where every key is.' },
    OutFile: { type: 'string', help: 'Writes the public key there, in PEM.' },
  },
  parameterSets: {
    default: 'HsmInteractiveCreate',
    sets: {
      HsmInteractiveCreate: ['HsmName', ...made],
      HsmInteractiveImport: ['HsmName', ...brought],
      HsmInputObjectCreate: ['HsmObject', ...made],
      HsmInputObjectImport: ['HsmObject', ...brought],
      HsmResourceIdCreate: ['HsmResourceId', ...made],
      HsmResourceIdImport: ['HsmResourceId', ...brought],
    },
  },
  changes: true,
  examples: [
    { code: 'Add-AzKeyVaultKey -HsmName contoso -Name signing -KeyType RSA -Size 3072', text: 'Creates an RSA key.' },
    {
      code: 'Add-AzKeyVaultKey -HsmName contoso -Name kek -KeyType RSA -KeyOps import',
      text: 'Creates a key exchange key for .byok files.',
    },
    { code: 'Add-AzKeyVaultKey -HsmName contoso -Name mine -KeyFilePath mine.byok', text: 'Imports an RSA key that was wrapped for it.' },
  ],
  outputs: 'PSKeyVaultKey',
  async run(context, args) {
    const hsm = hsmNamed(args);
    refuseElsewhere(args.Destination, args.UseDefaultCVMPolicy);
    if (args.Immutable && args.ReleasePolicyPath === undefined) {
      throw new ShellError('-Immutable is about a release policy; give one with -ReleasePolicyPath', { category: 'binding' });
    }
    const tags = tagsOf(args.Tag);
    const operations = args.KeyOps === undefined ? {} : { key_ops: args.KeyOps };
    const about = {
      attributes: { enabled: !args.Disable, ...dates(args), ...(args.Exportable ? { exportable: true } : {}) },
      ...(tags === undefined ? {} : { tags }),
      ...(await releasePolicy(context, args)),
    };
    const path = keyPath('keys', args.Name);
    let bundle: unknown;
    if (args.KeyFilePath === undefined) {
      if (!(await context.shouldProcess('Add key', args.Name))) return undefined;
      const material = {
        kty: args.KeyType,
        ...(args.Size === undefined ? {} : { key_size: args.Size }),
        ...(args.CurveName === undefined ? {} : { crv: args.CurveName }),
        ...(args.Algorithm === undefined ? {} : { alg: args.Algorithm }),
      };
      const preview = args.KeyType?.startsWith('AKP') ? `?api-version=${apiVersions.mlDsa}` : '';
      bundle = await callKey(context, hsm, 'POST', `${path}/create${preview}`, { body: { ...material, ...operations, ...about } });
    } else {
      const file = { path: args.KeyFilePath, password: args.KeyFilePassword, type: args.KeyType, curve: args.CurveName };
      const key = await keyFromFile(context, file);
      if (!(await context.shouldProcess('Import key', args.Name))) return undefined;
      bundle = await callKey(context, hsm, 'PUT', path, { body: { key: { ...key, ...operations }, ...about } });
    }
    if (args.OutFile !== undefined) await writePublicKey(context, bundle, args.OutFile);
    return keyShape(bundle);
  },
});

/** What the genuine module offers for other places than an HSM of one's own. */
function refuseElsewhere(destination: string | undefined, defaultPolicy: boolean): void {
  if (destination === 'Software') {
    throw new ShellError('a managed HSM has no software-protected keys; leave -Destination out, or say HSM', { category: 'unsupported' });
  }
  if (defaultPolicy) {
    throw new ShellError("-UseDefaultCVMPolicy would trust the attestation services of Azure's regions, which this HSM knows nothing of", {
      category: 'unsupported',
      hints: ['write down whom the key may be released to, and give the file with -ReleasePolicyPath'],
    });
  }
}
