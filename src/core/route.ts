// What a route table is made of: rows, operations, the call that an operation receives and the replies that it may give.
// Knows no HTTP server; the door reads these tables, the rooms write them.

import type { GenericSchema, InferOutput } from 'valibot';
import type { RowAudit } from './audit.ts';
import type { Caller } from './caller.ts';

export type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

/** The wire formats of errors that clients of the four rooms expect. */
export type Dialect = 'keyvault' | 'arm' | 'oauth' | 'graph';

/** What every request has, whatever its shapes. */
export interface Visit {
  readonly caller: Caller;
  /** The host as the client reached it, lower case, without port: `myhsm.managedhsm.localhost`. */
  readonly host: string;
  /** `https://` with host and port as the client reached it, already checked to be one of our names. */
  readonly origin: string;
  /** The client's address. */
  readonly address: string;
  /** Undefined when the caller left it out. */
  readonly apiVersion: string | undefined;
  readonly requestId: string;
  /** The Authorization header, for rows that anyone may call and that read a client's own proof from it; undefined everywhere else. */
  readonly authorization?: string | undefined;
  /** The path's named segments, percent-decoded, as sent. */
  readonly path: Readonly<Record<string, string>>;
}

/** A visit with its shapes parsed. */
export interface Call<Path, Query, Body> extends Omit<Visit, 'path'> {
  readonly path: Path;
  readonly query: Query;
  readonly body: Body;
}

export interface Shapes {
  readonly path: GenericSchema;
  readonly query: GenericSchema;
  readonly body: GenericSchema;
}

export interface Operation<World> {
  readonly shapes: Shapes;
  /** Its answer to the same call stays the same until something is committed: it reads the store and nothing else, not even the time. */
  readonly steady: boolean;
  /** Goes on with what was last known, where the operator allows that, while the store cannot be reached: it only uses a key. */
  readonly whenDegraded: boolean;
  run(world: World, call: Call<unknown, unknown, unknown>): unknown;
}

/** One wire operation: what it accepts, and the sentence that performs it. */
export function operation<World, P extends GenericSchema, Q extends GenericSchema, B extends GenericSchema>(
  shapes: { readonly path: P; readonly query: Q; readonly body: B },
  run: (world: World, call: Call<InferOutput<P>, InferOutput<Q>, InferOutput<B>>) => unknown,
  { steady = false, whenDegraded = false }: { readonly steady?: boolean; readonly whenDegraded?: boolean } = {},
): Operation<World> {
  return {
    shapes,
    steady,
    whenDegraded,
    // The door has parsed the call with these very shapes; this is where the parsed types are taken up again.
    run: (world, call) => run(world, call as Call<InferOutput<P>, InferOutput<Q>, InferOutput<B>>),
  };
}

/** A row whose operation only reads: it runs on the thread that received the request. */
export interface ReadRow<Action, World, Guard> extends RowHead<Action, Guard> {
  readonly mode: 'read';
  readonly operation: Operation<World>;
}

/** A row whose operation may write: it runs on the main thread, which owns the store's writer. */
export interface WriteRow<Action, World, Guard> extends RowHead<Action, Guard> {
  readonly mode: 'write';
  readonly operation: Operation<World>;
}

interface RowHead<Action, Guard> {
  readonly method: Method;
  /** `/keys/:name/:version/sign`; a segment `:name` is one path segment. Matched without regard to case. */
  readonly path: string;
  /** What the caller must be allowed to do. `'anonymous'` has to be written out. */
  readonly action: Action;
  /** What the room wants to know besides: the states in which an HSM answers, say. */
  readonly guard: Guard;
}

export type Row<Action = string, ReadWorld = unknown, WriteWorld = unknown, Guard = unknown> =
  | ReadRow<Action, ReadWorld, Guard>
  | WriteRow<Action, WriteWorld, Guard>;

/** A room as the door sees it. `admit` proves that the visitor may pass (or throws) and returns the world the operation works in. */
export interface Room {
  readonly name: 'hsm' | 'identity' | 'graph' | 'management';
  readonly dialect: Dialect;
  readonly rows: readonly ServedRow[];
  /** Throws when nobody may call from there, whoever it is: asked at every address of the room, before a token is looked at. Waits only when it must. */
  gate?(from: Knock): Promise<void> | undefined;
}

/** What is known of a request before anybody has asked who sends it. */
export type Knock = Pick<Visit, 'host' | 'address'>;

/** A row with its admission bound: what the door calls, without knowing the room's types. */
export interface ServedRow {
  readonly method: Method;
  readonly path: string;
  readonly mode: 'read' | 'write';
  readonly anonymous: boolean;
  readonly shapes: Shapes;
  readonly steady: boolean;
  readonly whenDegraded: boolean;
  /** What the audit record calls it, and when it is recorded. */
  readonly audit: RowAudit;
  /** Throws unless the visitor may do this here and now; returns the call bound to its world. */
  admit(visit: Visit): Promise<Admitted>;
}

export interface Admitted {
  /** Headers that go with every success here: the region of the HSM, say. Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The result, or the promise of it. */
  run(call: Call<unknown, unknown, unknown>): unknown;
}

/** Binds a room's rows to its admission, for a thread that can give both worlds or (a worker) only the reading one. */
export function serveRows<Action, ReadWorld, WriteWorld, Guard>(
  rows: readonly Row<Action, ReadWorld, WriteWorld, Guard>[],
  admission: {
    read(row: ReadRow<Action, ReadWorld, Guard>, visit: Visit): Promise<ReadWorld>;
    write(row: WriteRow<Action, WriteWorld, Guard>, visit: Visit): Promise<WriteWorld>;
    /** What the audit record calls a row. */
    audit(row: Row<Action, ReadWorld, WriteWorld, Guard>): RowAudit;
    /** Headers that go with every success in this world. */
    headers?(world: ReadWorld | WriteWorld): Readonly<Record<string, string>>;
  },
): readonly ServedRow[] {
  return rows.map((row) => ({
    method: row.method,
    path: row.path,
    mode: row.mode,
    anonymous: (row.action as unknown) === 'anonymous',
    shapes: row.operation.shapes,
    steady: row.operation.steady,
    whenDegraded: row.operation.whenDegraded,
    audit: admission.audit(row),
    admit: async (visit) => {
      if (row.mode === 'read') return bound(row.operation, await admission.read(row, visit), admission);
      return bound(row.operation, await admission.write(row, visit), admission);
    },
  }));
}

function bound<World>(
  operation: Operation<World>,
  world: World,
  admission: { headers?(world: World): Readonly<Record<string, string>> },
): Admitted {
  return { headers: admission.headers?.(world) ?? NO_HEADERS, run: (call) => operation.run(world, call) };
}

const NO_HEADERS: Readonly<Record<string, string>> = {};
