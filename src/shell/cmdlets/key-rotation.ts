// New versions of keys: Invoke-AzKeyVaultKeyRotation, and the policies by which they come by themselves, Get- and Set-AzKeyVaultKeyRotationPolicy.
// The genuine module has these for key vaults alone; here they take -HsmName.

import { ShellError } from '../errors.ts';
import { hsmNameRow, keyNamed } from '../hsm-names.ts';
import { callKey, keyPath, keyShape } from '../keys.ts';
import { at, listAt, parseJson, secondsAt, textAt } from '../read.ts';
import { isRecord, member, shape } from '../value.ts';
import { define } from './define.ts';
import { keyNameParameter, keyObjectParameter } from './key-rows.ts';

const key = {
  HsmName: { ...hsmNameRow, mandatory: ['ByVaultName'], position: 0 },
  Name: { ...keyNameParameter, mandatory: ['ByVaultName'] },
  InputObject: { ...keyObjectParameter, aliases: ['Key'], mandatory: ['ByKeyInputObject'] },
} as const;
const keySets = { default: 'ByVaultName', sets: { ByVaultName: ['HsmName', 'Name'], ByKeyInputObject: ['InputObject'] } } as const;

export const invokeKeyRotation = define({
  name: 'Invoke-AzKeyVaultKeyRotation',
  synopsis: 'Makes a new version of a key now, as its rotation policy says; a key without a policy has to be given one first.',
  parameters: key,
  parameterSets: keySets,
  changes: true,
  outputs: 'PSKeyVaultKey',
  async run(context, args) {
    const { hsm, name } = keyNamed(args);
    if (!(await context.shouldProcess('Rotate key', name))) return undefined;
    return keyShape(await callKey(context, hsm, 'POST', `${keyPath('keys', name)}/rotate`));
  },
});

export const getKeyRotationPolicy = define({
  name: 'Get-AzKeyVaultKeyRotationPolicy',
  synopsis: "A key's rotation policy; an empty one when it has none.",
  parameters: key,
  parameterSets: keySets,
  outputs: 'PSKeyRotationPolicy',
  async run(context, args) {
    const { hsm, name } = keyNamed(args);
    return policyShape(hsm, name, await callKey(context, hsm, 'GET', `${keyPath('keys', name)}/rotationpolicy`));
  },
});

const byNameFile = 'SetByRotationPolicyFileViaVaultName';
const byObjectFile = 'SetByRotationPolicyFileViaKeyInputObject';

export const setKeyRotationPolicy = define({
  name: 'Set-AzKeyVaultKeyRotationPolicy',
  synopsis: "Sets a key's rotation policy. What is not given is no longer in it.",
  parameters: {
    HsmName: { ...hsmNameRow, mandatory: ['ByVaultName', byNameFile], position: 0 },
    Name: { ...keyNameParameter, mandatory: ['ByVaultName', byNameFile] },
    InputObject: { ...keyObjectParameter, aliases: ['Key'], mandatory: ['ByKeyInputObject', byObjectFile] },
    KeyRotationPolicy: {
      type: 'object',
      mandatory: ['ByKeyRotationPolicyInputObject'],
      position: 0,
      fromPipeline: { value: 'PSKeyRotationPolicy' },
      help: 'From Get-AzKeyVaultKeyRotationPolicy, changed.',
    },
    ExpiresIn: { type: 'string', help: 'How long new versions live: P90D, P2Y.' },
    KeyRotationLifetimeAction: {
      type: 'object[]',
      help: "@{Action='Rotate'; TimeAfterCreate='P18M'} or @{Action='Rotate'; TimeBeforeExpiry='P30D'}.",
    },
    PolicyPath: {
      type: 'string',
      mandatory: [byNameFile, byObjectFile],
      help: 'A JSON file with the policy, as az keyvault key rotation-policy has it.',
    },
  },
  parameterSets: {
    default: 'ByVaultName',
    sets: {
      ByVaultName: ['HsmName', 'Name', 'ExpiresIn', 'KeyRotationLifetimeAction'],
      [byNameFile]: ['HsmName', 'Name', 'PolicyPath'],
      ByKeyInputObject: ['InputObject', 'ExpiresIn', 'KeyRotationLifetimeAction'],
      [byObjectFile]: ['InputObject', 'PolicyPath'],
      ByKeyRotationPolicyInputObject: ['KeyRotationPolicy'],
    },
  },
  changes: true,
  examples: [
    {
      code: "Set-AzKeyVaultKeyRotationPolicy -HsmName contoso -Name signing -ExpiresIn P2Y -KeyRotationLifetimeAction @{Action='Rotate'; TimeBeforeExpiry='P30D'}",
      text: 'New versions live for two years, and the next comes thirty days before the end.',
    },
  ],
  outputs: 'PSKeyRotationPolicy',
  async run(context, args) {
    const { hsm, name } = args.KeyRotationPolicy === undefined ? keyNamed(args) : keyOf(args.KeyRotationPolicy);
    const body =
      args.PolicyPath === undefined
        ? wirePolicy(args.KeyRotationPolicy ?? args)
        : policyFrom(args.PolicyPath, await context.host.readText(args.PolicyPath));
    if (!(await context.shouldProcess('Set rotation policy', name))) return undefined;
    return policyShape(hsm, name, await callKey(context, hsm, 'PUT', `${keyPath('keys', name)}/rotationpolicy`, { body }));
  },
});

function policyShape(hsm: string, name: string, json: unknown) {
  const LifetimeActions = listAt(json, 'lifetimeActions').map((action) =>
    shape('PSKeyRotationLifetimeAction', {
      Action: 'Rotate',
      TimeAfterCreate: textAt(action, 'trigger', 'timeAfterCreate'),
      TimeBeforeExpiry: textAt(action, 'trigger', 'timeBeforeExpiry'),
    }),
  );
  const isSet = textAt(json, 'id') !== '';
  return shape('PSKeyRotationPolicy', {
    Id: textAt(json, 'id'),
    VaultName: hsm,
    KeyName: name,
    LifetimeActions,
    ExpiresIn: textAt(json, 'attributes', 'expiryTime') || undefined,
    CreatedOn: isSet ? secondsAt(json, 'attributes', 'created') : undefined,
    UpdatedOn: isSet ? secondsAt(json, 'attributes', 'updated') : undefined,
  });
}

function keyOf(policy: unknown): { hsm: string; name: string } {
  const [hsm, name] = [member(policy, 'VaultName'), member(policy, 'KeyName')];
  if (typeof hsm === 'string' && typeof name === 'string') return { hsm, name };
  throw new ShellError('-KeyRotationPolicy is not what Get-AzKeyVaultKeyRotationPolicy gave', { category: 'binding' });
}

/** From the parameters, or from a policy that was read and changed. */
function wirePolicy(policy: object): object {
  const expiryTime = member(policy, 'ExpiresIn') ?? undefined;
  const actions = member(policy, 'KeyRotationLifetimeAction') ?? member(policy, 'LifetimeActions');
  if (expiryTime === undefined && actions === undefined) {
    throw new ShellError('the policy has nothing in it: give -ExpiresIn or -KeyRotationLifetimeAction', {
      category: 'binding',
      hints: ['an empty list, -KeyRotationLifetimeAction @(), takes the policy away'],
    });
  }
  return {
    lifetimeActions: (Array.isArray(actions) ? actions : []).map(wireAction),
    attributes: expiryTime === undefined ? {} : { expiryTime },
  };
}

const ACTION = ['action', 'timeaftercreate', 'timebeforeexpiry'];

function wireAction(action: unknown): object {
  const unknownName = isRecord(action) ? Object.keys(action).find((name) => !ACTION.includes(name.toLowerCase())) : '';
  if (unknownName !== undefined) {
    throw new ShellError(`a lifetime action has Action and either TimeAfterCreate or TimeBeforeExpiry, and no '${unknownName}'`, {
      category: 'binding',
    });
  }
  const [timeAfterCreate, timeBeforeExpiry] = [member(action, 'TimeAfterCreate'), member(action, 'TimeBeforeExpiry')];
  return {
    trigger: { ...(timeAfterCreate ? { timeAfterCreate } : {}), ...(timeBeforeExpiry ? { timeBeforeExpiry } : {}) },
    action: { type: member(action, 'Action') ?? 'Rotate' },
  };
}

function policyFrom(path: string, text: string): object {
  const json = parseJson(text.replace(/^\uFEFF/, ''));
  if (isRecord(json) && (at(json, 'lifetimeActions') !== undefined || at(json, 'attributes') !== undefined)) return json;
  throw new ShellError(`'${path}' is not a rotation policy in JSON, with lifetimeActions and attributes`, { category: 'validation' });
}
