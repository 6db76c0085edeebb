// HSMs in a temporary folder: a reading thread's room and the writing thread's room over one store, asked as the door asks them, with a clock that
// moves. For tests alone.

import { type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Caller } from '../../../src/core/caller.ts';
import type { Clock } from '../../../src/core/clock.ts';
import { type Tag, Versions } from '../../../src/core/coherence.ts';
import { Failure } from '../../../src/core/failure.ts';
import type { IssuerKeys } from '../../../src/core/issuer-keys.ts';
import { OPEN_TO_ALL } from '../../../src/core/network-rules.ts';
import { isReply } from '../../../src/core/reply.ts';
import type { Method, Room, ServedRow } from '../../../src/core/route.ts';
import { urlsFor } from '../../../src/core/urls.ts';
import { openEvidence } from '../../../src/crypto/evidence.ts';
import { openCryptoModule } from '../../../src/crypto/openssl-module.ts';
import { parseCall, readQuery } from '../../../src/door/decode.ts';
import { dialects } from '../../../src/door/dialects.ts';
import { openAuthorities, openSigners, type Signers, signerMaker } from '../../../src/hsm/evidence/signers.ts';
import { hsmPort } from '../../../src/hsm/lifecycle.ts';
import { activateConfirmed } from '../../../src/hsm/pool.ts';
import { hsmRoom } from '../../../src/hsm/room.ts';
import { sweepHsms } from '../../../src/hsm/sweep.ts';
import type { HsmWriteParts } from '../../../src/hsm/world.ts';
import { openEmbeddedReader, openEmbeddedStore } from '../../../src/store/embedded.ts';

export const TENANT = '5b7bd3de-5ac5-4b2e-9c1e-1a0d8e2b7f10';
const URLS = urlsFor('localhost', 8443);

/** What came back: a value, or a refusal under `error`. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  // biome-ignore lint/suspicious/noExplicitAny: a test reads answers whose shape is what it is about to find out
  readonly body: any;
  /** The code of a refusal; undefined otherwise. */
  readonly code: string | undefined;
}

export interface Asked {
  /** The HSM's name. */
  readonly at?: string;
  readonly as?: Caller;
  readonly body?: unknown;
  /** null: left out. */
  readonly version?: string | null;
}

export interface Estate {
  readonly parts: HsmWriteParts;
  readonly dataFolder: string;
  readonly port: ReturnType<typeof hsmPort>;
  /** What the directory says of who is in which groups. */
  readonly groups: Map<string, readonly string[]>;
  /** Public keys of attestation authorities, by `{issuer} {kid}`. */
  readonly issuers: Map<string, KeyObject>;
  /** What happens while an attestation authority is asked. */
  whileAsking: (() => Promise<unknown>) | undefined;
  /** Everything that commits have touched so far. */
  readonly touched: Tag[];
  readonly room: Room;
  advance(milliseconds: number): void;
  /** A new HSM, not activated; returns its id. */
  provision(name: string, administrators?: readonly string[]): Promise<string>;
  /** A new HSM that is active. */
  activated(name: string, administrators?: readonly string[]): Promise<string>;
  ask(method: Method, target: string, asked?: Asked): Promise<Answer>;
  sweep(): Promise<void>;
}

/** The first administrator of every HSM here. */
export const administrator = person(randomUUID());

export function person(objectId: string, groups: readonly string[] = []): Caller & { readonly objectId: string } {
  return {
    kind: 'user',
    tenantId: TENANT,
    objectId,
    clientId: '04b07795-8ddb-461a-bbee-02f9e1bf7b46',
    userPrincipalName: `${objectId}@test`,
    groups,
  };
}

export async function openEstate(t: TestContext): Promise<Estate> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-hsm-'));
  const versions = new Versions(Versions.allocate());
  const touched: Tag[] = [];
  const store = await openEmbeddedStore(folder, { versions, committed: (tags) => touched.push(...tags) });
  const reader = openEmbeddedReader(folder);
  const crypto = openCryptoModule({ rootKey: randomBytes(32) });
  t.after(async () => {
    crypto.close();
    reader.close();
    await store.close();
    await rm(folder, { recursive: true });
  });
  let ahead = 0;
  const clock: Clock = { now: () => Date.now() + ahead };
  const parts = { read: store.read, write: store.write, crypto, clock, urls: URLS, versions };
  const port = hsmPort(parts);
  const groups = new Map<string, readonly string[]>();
  const groupsOf = async (id: string): Promise<readonly string[]> => groups.get(id) ?? [];
  const issuers = new Map<string, KeyObject>();
  const issuerKeys: IssuerKeys = {
    keyOf: async (issuer, kid) => {
      await estate.whileAsking?.();
      return issuers.get(`${issuer} ${kid}`);
    },
  };
  const signing = { read: store.read, write: store.write, evidence: openEvidence(crypto, clock), clock };
  let opened: Promise<string> | undefined;
  const signers: Signers = async (...asked) => {
    opened ??= openAuthorities(signing);
    await opened;
    return openSigners(signing.evidence, signerMaker(signing))(...asked);
  };
  const room = { ...parts, groupsOf, issuerKeys, signers };
  const writing = hsmRoom(room);
  const reading = hsmRoom({ ...room, read: reader.read, write: undefined });
  const estate: Estate = {
    parts,
    dataFolder: folder,
    groups,
    issuers,
    whileAsking: undefined,
    port,
    touched,
    room: reading,
    advance: (milliseconds) => {
      ahead += milliseconds;
    },
    provision: async (name, administrators = [administrator.objectId]) => {
      const id = randomUUID();
      const facts = {
        id,
        name,
        region: 'norwayeast',
        otherRegions: [],
        retentionDays: 7,
        purgeProtection: false,
        administrators,
        network: OPEN_TO_ALL,
      };
      await store.write((writer) => port.provision(writer, facts));
      return id;
    },
    activated: async (name, administrators) => {
      const id = await estate.provision(name, administrators);
      // As the pool does it after a download; security-domain.test.ts goes the whole way.
      await store.write(async (writer) => {
        await writer.updateTable('hsms').set({ state: 'active', active_at: clock.now() }).where('id', '=', id).execute();
        writer.touch('hsms');
      });
      return id;
    },
    ask: (method, target, asked) => ask({ reading, writing }, method, target, asked),
    sweep: async () => {
      await activateConfirmed(parts);
      await sweepHsms(parts);
    },
  };
  return estate;
}

const habits = dialects({ urls: URLS, tenantId: TENANT, version: 'test' }).keyvault;

async function ask(
  rooms: { readonly reading: Room; readonly writing: Room },
  method: Method,
  target: string,
  { at = 'contoso', as = administrator, body, version = '7.5' }: Asked = {},
): Promise<Answer> {
  const { pathname, searchParams } = new URL(target, 'https://nowhere');
  if (version !== null) searchParams.set('api-version', version);
  const { row, path } = rowAt(rooms.reading, method, pathname);
  const host = `${at}.managedhsm.localhost`;
  const query = readQuery(Object.fromEntries(searchParams));
  const visit = {
    caller: as,
    host,
    origin: `https://${host}:8443`,
    address: '127.0.0.1',
    apiVersion: query['api-version'],
    requestId: '00000000-0000-0000-0000-000000000001',
    path,
  };
  // What crosses threads is plain data.
  const carried = structuredClone({ query, body });
  try {
    const here = await row.admit(visit);
    const there = row.mode === 'read' ? here : await (rooms.writing.rows[rooms.reading.rows.indexOf(row)] ?? row).admit(visit);
    const value = await there.run(parseCall(row, visit, carried, habits));
    if (!isReply(value)) return { status: 200, headers: here.headers, body: structuredClone(value), code: undefined };
    return { status: value.status, headers: { ...here.headers, ...value.headers }, body: value.body, code: undefined };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const { code, message, inner, headers } = error;
    return { status: error.status, headers, body: { error: { code, message, inner } }, code };
  }
}

/** Without regard to case; static segments win over named ones, as in the door's router. */
function rowAt(room: Room, method: Method, pathname: string): { row: ServedRow; path: Record<string, string> } {
  const asked = segmentsOf(pathname);
  const [found] = room.rows
    .filter((row) => row.method === method)
    .flatMap((row) => {
      const pattern = segmentsOf(row.path);
      const fits = pattern.every((part, i) => part.startsWith(':') || part.toLowerCase() === asked[i]?.toLowerCase());
      const named = pattern.flatMap((part, i) => (part.startsWith(':') ? [[part.slice(1), decodeURIComponent(asked[i] ?? '')]] : []));
      return fits && pattern.length === asked.length ? [{ row, path: Object.fromEntries(named), loose: named.length }] : [];
    })
    .sort((a, b) => a.loose - b.loose);
  if (found === undefined) throw new Error(`no row for ${method} ${pathname}`);
  return found;
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}
