// The end of a managed HSM and the way back: Remove-AzKeyVaultManagedHsm (delete, purge) and Undo-AzKeyVaultManagedHsmRemoval.

import { call, completed, segment } from '../client.ts';
import { ShellError } from '../errors.ts';
import { hsmPath, managedHsmShape, managedHsms, missingHsm, readHsm, removedHsm, requireHsm } from '../managed-hsms.ts';
import {
  type Context,
  day,
  define,
  forceParameter,
  passThruParameter,
  resourceIdParts,
  subscriptionOf,
  subscriptionParameter,
  textOf,
} from './define.ts';

export const removeManagedHsm = define({
  name: 'Remove-AzKeyVaultManagedHsm',
  aliases: ['Remove-AzManagedHsm'],
  synopsis: 'Deletes a managed HSM, or with -InRemovedState purges one that was deleted.',
  description:
    'A deleted HSM is kept, with all its keys, until its purge date, and can be brought back with Undo-AzKeyVaultManagedHsmRemoval. Purging is for ever: without the HSM, not even its security domain helps to get at keys that were not backed up.',
  parameters: {
    Name: { type: 'string', aliases: ['HsmName'], mandatory: ['ByName'], position: 0 },
    ResourceGroupName: { type: 'string', position: 1, help: 'Looked up when not given.' },
    InputObject: {
      type: 'object',
      mandatory: ['ByInputObject'],
      position: 0,
      fromPipeline: { value: ['PSManagedHsm', 'PSDeletedManagedHsm'] },
    },
    ResourceId: { type: 'string', mandatory: ['ByResourceId'], fromPipeline: { property: true } },
    InRemovedState: { type: 'switch', help: 'Purges it.' },
    Location: {
      type: 'string',
      help: 'Where it was; looked up when not given. Without -InRemovedState it purges too, when no such HSM is there any more.',
    },
    Force: forceParameter,
    PassThru: passThruParameter,
    SubscriptionId: subscriptionParameter,
  },
  parameterSets: {
    default: 'ByName',
    sets: { ByName: ['Name', 'ResourceGroupName'], ByInputObject: ['InputObject'], ByResourceId: ['ResourceId'] },
  },
  changes: true,
  examples: [
    { code: 'Remove-AzKeyVaultManagedHsm -Name contoso', text: 'Deletes it, after asking.' },
    { code: 'Remove-AzKeyVaultManagedHsm -Name contoso -Location norwayeast -InRemovedState -Force', text: 'Purges it, without asking.' },
  ],
  outputs: 'Boolean',
  async run(context, args) {
    const subscription = await subscriptionOf(context, args.SubscriptionId);
    const id = args.ResourceId ?? textOf(args.InputObject, 'ResourceId');
    const parts = id === undefined ? undefined : resourceIdParts(id);
    const name = parts?.name ?? args.Name ?? '';
    const done =
      args.InRemovedState || (await isMeantToPurge(context, subscription, name, args.Location))
        ? await purge(context, subscription, name, args.Force)
        : await remove(context, subscription, name, parts?.group ?? args.ResourceGroupName, args.Force);
    return done && args.PassThru ? true : undefined;
  },
});

/** The genuine help purges with -Name and -Location alone; a location is of no use for deleting. */
async function isMeantToPurge(context: Context, subscription: string, name: string, location: string | undefined): Promise<boolean> {
  return location !== undefined && (await removedHsm(context, subscription, name)) !== undefined;
}

async function remove(context: Context, subscription: string, name: string, group: string | undefined, force: boolean): Promise<boolean> {
  const path = await requireHsm(context, subscription, group, name);
  if ((await readHsm(context, path)) === undefined) throw await missingHsm(context, subscription, name);
  if (!force && !(await context.shouldContinue(`Are you sure you want to remove HSM '${name}'?`, 'Remove HSM'))) return false;
  if (!(await context.shouldProcess('Remove HSM', name))) return false;
  const place = await managedHsms(context);
  await completed(context, place, await call(context, place, 'DELETE', path), `deleting managed HSM '${name}'`);
  const kept = await removedHsm(context, subscription, name);
  if (kept !== undefined) {
    const purgeLine = kept.EnablePurgeProtection
      ? 'purge protection is on, so it cannot be purged before'
      : `purge it now with: Remove-AzKeyVaultManagedHsm -Name ${name} -Location ${kept.Location} -InRemovedState`;
    const undo = `Undo-AzKeyVaultManagedHsmRemoval -Name ${name} -ResourceGroupName ${kept.ResourceGroupName} -Location ${kept.Location}`;
    context.warn(
      `managed HSM '${name}' is soft-deleted: it and its keys are kept until ${day(kept.ScheduledPurgeDate)} and its name stays taken. Bring it back with: ${undo}; ${purgeLine}`,
    );
  }
  return true;
}

async function purge(context: Context, subscription: string, name: string, force: boolean): Promise<boolean> {
  const kept = await removedHsm(context, subscription, name);
  if (kept === undefined) {
    throw new ShellError(`there is no soft-deleted managed HSM '${name}'`, {
      category: 'not-found',
      hints: ['see all with: Get-AzKeyVaultManagedHsm -InRemovedState'],
    });
  }
  const question = `Are you sure you want to purge HSM '${name}'? It and all its keys are gone for ever`;
  if (!force && !(await context.shouldContinue(question, 'Purge HSM'))) return false;
  if (!(await context.shouldProcess('Purge HSM', name))) return false;
  const place = await managedHsms(context);
  const path = `/subscriptions/${subscription}/providers/Microsoft.KeyVault/locations/${segment(kept.Location)}/deletedManagedHSMs/${segment(name)}/purge`;
  await completed(context, place, await call(context, place, 'POST', path), `purging managed HSM '${name}'`);
  return true;
}

export const undoManagedHsmRemoval = define({
  name: 'Undo-AzKeyVaultManagedHsmRemoval',
  synopsis: 'Brings a soft-deleted managed HSM back, with its keys and roles.',
  parameters: {
    Name: { type: 'string', aliases: ['HsmName'], mandatory: ['Default'], position: 0 },
    ResourceGroupName: { type: 'string', position: 1, help: 'The one it was in, which must exist; looked up when not given.' },
    Location: { type: 'string', position: 2, help: 'Looked up when not given.' },
    InputObject: { type: 'object', mandatory: ['InputObject'], position: 0, fromPipeline: { value: 'PSDeletedManagedHsm' } },
    SubscriptionId: subscriptionParameter,
  },
  parameterSets: { default: 'Default', sets: { Default: ['Name', 'ResourceGroupName', 'Location'], InputObject: ['InputObject'] } },
  changes: true,
  outputs: 'PSManagedHsm',
  async run(context, args) {
    const subscription = await subscriptionOf(context, args.SubscriptionId);
    const name = textOf(args.InputObject, 'Name') ?? args.Name ?? '';
    const kept = await removedHsm(context, subscription, name);
    if (kept === undefined) throw await missingHsm(context, subscription, name);
    if (!(await context.shouldProcess('Recover managed HSM', name))) return undefined;
    const path = hsmPath(subscription, args.ResourceGroupName ?? kept.ResourceGroupName, name);
    const place = await managedHsms(context);
    const body = { location: args.Location ?? kept.Location, properties: { createMode: 'recover' } };
    await completed(context, place, await call(context, place, 'PUT', path, { body }), `recovering managed HSM '${name}'`);
    return managedHsmShape((await call(context, place, 'GET', path)).json);
  },
});
