// Private endpoint connections of a managed HSM, as objects that are asked for, approved, rejected and removed. They are kept and change nothing else:
// nothing arrives here over a private endpoint, so whoever wants a network of their own lets it in by its address ranges.

import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { armBadRequest, armResourceNotFound, propertyInvalid } from '../../core/errors-arm.ts';
import { nothing } from '../../core/reply.ts';
import { operation } from '../../core/route.ts';
import type { Writer } from '../../store/store.ts';
import type { ArmReads, ArmWrites } from '../world.ts';
import { liveHsm } from './read.ts';
import { HsmPath, type HsmRow, hsmId, type PrivateEndpointConnection, settingsOf, wireConnection } from './shapes.ts';

const CONNECTIONS = 64;
const NAME = /^[A-Za-z0-9][\w.-]{0,79}$/;
const ENDPOINT = /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.Network\/privateEndpoints\/[^/]+$/i;
const STATES = ['Pending', 'Approved', 'Rejected', 'Disconnected'] as const;

const ConnectionPath = v.object({ ...HsmPath.entries, connection: v.string() });
const anything = { query: v.unknown(), body: v.unknown() };

export const listConnections = operation({ path: HsmPath, ...anything }, async (world: ArmReads, { path }) => {
  const row = await liveHsm(world, path.hsm);
  return { value: connectionsOf(row).map((connection) => wireWhole(row, connection)) };
});

export const getConnection = operation({ path: ConnectionPath, ...anything }, async (world: ArmReads, { path }) => {
  const row = await liveHsm(world, path.hsm);
  const found = connectionNamed(row, path.connection);
  if (found === undefined) throw notThere(row, path.connection);
  return wireWhole(row, found);
});

const ConnectionBody = v.object({
  properties: v.object({
    privateEndpoint: v.nullish(v.object({ id: v.nullish(v.string()) })),
    privateLinkServiceConnectionState: v.nullish(
      v.object({
        status: v.nullish(v.string()),
        description: v.nullish(v.pipe(v.string(), v.maxLength(1024, 'the description is longer than 1024 characters'))),
      }),
    ),
  }),
});

/** Approves or rejects one that is there; one that is not there is made when the request says which private endpoint it is of. */
export const putConnection = operation(
  { path: ConnectionPath, query: v.unknown(), body: ConnectionBody },
  (world: ArmWrites, { path, body: { properties } }) => {
    const { status, description } = properties.privateLinkServiceConnectionState ?? {};
    const state = STATES.find((known) => known.toLowerCase() === status?.toLowerCase());
    if (state === undefined && (status ?? '') !== '') throw propertyInvalid('PrivateLinkServiceConnectionState.Status', STATES);
    return world.write(async (writer) => {
      const row = await liveHsm({ ...world, read: writer }, path.hsm);
      const known = connectionNamed(row, path.connection) ?? newConnection(row, path.connection, properties.privateEndpoint?.id);
      const changed: PrivateEndpointConnection = {
        ...known,
        etag: randomUUID(),
        status: state ?? known.status,
        description: description ?? known.description,
      };
      await keep(writer, row, [...connectionsOf(row).filter(({ name }) => name !== known.name), changed]);
      return wireWhole(row, changed);
    });
  },
);

/** Deleting what is not there is done (REST reference: 204). */
export const deleteConnection = operation({ path: ConnectionPath, ...anything }, (world: ArmWrites, { path }) =>
  world.write(async (writer) => {
    const row = await liveHsm({ ...world, read: writer }, path.hsm);
    const found = connectionNamed(row, path.connection);
    if (found === undefined) return nothing();
    await keep(
      writer,
      row,
      connectionsOf(row).filter(({ name }) => name !== found.name),
    );
    return wireWhole(row, { ...found, status: 'Disconnected' });
  }),
);

function newConnection(row: HsmRow, name: string, endpointId: string | null | undefined): PrivateEndpointConnection {
  if (endpointId === undefined || endpointId === null) throw notThere(row, name);
  if (!NAME.test(name))
    throw armBadRequest(`The name of a private endpoint connection has letters, digits, hyphens, periods and underscores.`);
  if (!ENDPOINT.test(endpointId)) throw armBadRequest('The property "privateEndpoint.id" is the resource id of a private endpoint.');
  if (connectionsOf(row).length >= CONNECTIONS)
    throw armBadRequest(`There are ${CONNECTIONS} private endpoint connections, which is the limit.`);
  return { name, endpointId, status: 'Pending', description: '', etag: '' };
}

async function keep(writer: Writer, row: HsmRow, privateEndpointConnections: readonly PrivateEndpointConnection[]): Promise<void> {
  const settings = { ...settingsOf(row), privateEndpointConnections };
  await writer
    .updateTable('managed_hsms')
    .set({ settings_json: JSON.stringify(settings) })
    .where('id', '=', row.id)
    .execute();
}

function connectionsOf(row: HsmRow): readonly PrivateEndpointConnection[] {
  return settingsOf(row).privateEndpointConnections ?? [];
}

function connectionNamed(row: HsmRow, name: string): PrivateEndpointConnection | undefined {
  return connectionsOf(row).find((connection) => connection.name.toLowerCase() === name.toLowerCase());
}

function notThere(row: HsmRow, name: string) {
  return armResourceNotFound(`Microsoft.KeyVault/managedHSMs/${row.name}/privateEndpointConnections/${name}`, row.group_name);
}

function wireWhole(row: HsmRow, connection: PrivateEndpointConnection) {
  return {
    ...wireConnection(hsmId(row), connection),
    name: connection.name,
    type: 'Microsoft.KeyVault/managedHSMs/privateEndpointConnections',
  };
}
