// Get-StrongroomAccess: what somebody may do on an HSM, why, and the command that grants what is missing. A cmdlet of ours.

import { table } from '../../core/table.ts';
import { call, hsmPlace } from '../client.ts';
import { ShellError } from '../errors.ts';
import { hsmNameRow } from '../hsm-names.ts';
import { principalNamed, principalsById } from '../principals.ts';
import { at, flagAt, listAt, textAt, textsAt } from '../read.ts';
import { scopeOf } from '../roles.ts';
import { shape } from '../value.ts';
import { define } from './define.ts';

const PREFIX = 'Microsoft.KeyVault/managedHsm/';

/** Operations by the words that other cmdlets have for them, where the data action is another word. */
const actions: Readonly<Record<string, string>> = table({
  create: 'keys/create',
  delete: 'keys/delete',
  random: 'rng/action',
  get: 'keys/read/action',
});

export const getAccess = define({
  name: 'Get-StrongroomAccess',
  synopsis: 'What you, or somebody else, may do on a managed HSM, and what would have to be granted.',
  parameters: {
    HsmName: { ...hsmNameRow, position: 0, mandatory: true },
    Action: {
      type: 'string',
      position: 1,
      help: "A data action such as 'keys/sign/action', or just the operation: Sign, Decrypt, Create.",
    },
    KeyName: { type: 'string', help: 'Asks about one key.' },
    Scope: { type: 'string', help: '/ and /keys are the whole HSM, /keys/NAME is one key.' },
    SignInName: { type: 'string', aliases: ['Email', 'UserPrincipalName'], help: 'Asks about another user.' },
    ApplicationId: { type: 'string', aliases: ['SPN', 'ServicePrincipalName'], help: 'Asks about a service principal.' },
    ObjectId: { type: 'string', aliases: ['Id', 'PrincipalId'], help: 'Asks about any principal.' },
  },
  examples: [
    {
      code: 'Get-StrongroomAccess -HsmName contoso -Action Sign -KeyName invoices',
      text: 'Says whether you may sign with that key, and who could let you.',
    },
    {
      code: 'Get-StrongroomAccess -HsmName contoso -SignInName alice@contoso.localhost',
      text: 'Shows what Alice may do; for administrators and auditors.',
    },
  ],
  outputs: 'StrongroomAccess',
  async run(context, args) {
    if (args.KeyName !== undefined && args.Scope !== undefined)
      throw new ShellError('-KeyName and -Scope say the same: give one of them', { category: 'binding' });
    const place = await hsmPlace(context, args.HsmName);
    const query = new URLSearchParams({ scope: scopeOf(args.KeyName === undefined ? (args.Scope ?? '/') : `/keys/${args.KeyName}`) });
    const principalId = await principalNamed(context, args);
    if (principalId !== undefined) query.set('principalId', principalId);
    if (args.Action !== undefined) query.set('action', actionNamed(args.Action));
    const { json } = await call(context, place, 'GET', `/strongroom/access?${query}`);
    const held = listAt(json, 'holds');
    const ids = [textAt(json, 'principalId') ?? '', ...held.map((grant) => textAt(grant, 'principalId') ?? '')];
    const names = await principalsById(context, ids);
    const nameOf = (id: string | undefined): string => names.get(id?.toLowerCase() ?? '')?.displayName || (id ?? '');
    return shape('StrongroomAccess', {
      Principal: nameOf(textAt(json, 'principalId')),
      ObjectId: textAt(json, 'principalId'),
      Scope: textAt(json, 'scope'),
      Action: textAt(json, 'action')?.replace(PREFIX, ''),
      Allowed: at(json, 'allowed'),
      Holds: held.map((grant) => heldShape(grant, nameOf)),
      Needed: textsAt(json, 'roles'),
      GrantWith: flagAt(json, 'allowed') === true ? undefined : textAt(json, 'grant'),
      May: textsAt(json, 'may').map((action) => action.replace(PREFIX, '')),
    });
  },
});

function actionNamed(text: string): string {
  if (text.includes('/')) return text;
  const word = text.toLowerCase();
  return actions[word] ?? `keys/${word}/action`;
}

function heldShape(grant: unknown, nameOf: (id: string | undefined) => string): object {
  return shape('StrongroomHeldRole', {
    RoleDefinitionName: textAt(grant, 'roleName'),
    Scope: textAt(grant, 'scope'),
    Through: nameOf(textAt(grant, 'principalId')),
    Reaches: at(grant, 'reaches'),
    Gives: at(grant, 'gives'),
    TakesAway: at(grant, 'takesAway'),
    RoleAssignmentName: textAt(grant, 'roleAssignment'),
  });
}
