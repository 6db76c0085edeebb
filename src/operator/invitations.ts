// A member invites: each invitation opens a port of its own, gives the root key once to whoever proves that it has the invitation, and closes. Invitations
// live in memory, and end with the service.

import { X509Certificate } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import * as v from 'valibot';
import type { Clock } from '../core/clock.ts';
import { toBase64url } from '../core/encoding.ts';
import { answerJoin, newInvited } from '../crypto/join-exchange.ts';
import type { RootKeys } from '../crypto/root-keys.ts';
import type { Authority } from '../door/certificate-authority.ts';
import type { Command } from '../door/control-channel.ts';
import { type JoinPort, openJoinPort } from '../door/join-port.ts';
import { Bytes, invitationText, isHost } from './invitation.ts';

export interface InvitationsParts {
  /** Whether the store is where other machines reach it. */
  readonly isShared: boolean;
  readonly rootKeys: RootKeys;
  readonly authority: Authority;
  /** IP addresses on which the service listens. */
  readonly hosts: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  /** Rejects when it cannot be recorded; then nothing is given. */
  readonly record: (operation: string, properties: Readonly<Record<string, unknown>>) => Promise<void>;
}

export interface Invitations {
  /** The answer is `{ id, invitation, minutes, address, loopback }`; `loopback`: no other machine can reach it. */
  invite(command: Command): Promise<unknown>;
  /** Resolves with `{ node, fingerprint }` when the invitation of `id` was used; rejects when it is over. */
  outcome(command: Command): Promise<unknown>;
  close(): Promise<void>;
}

const MINUTES = 15;
const MOST_MINUTES = 60;
const MOST_OPEN = 5;
/** Refused tries after which an invitation is over. */
const TRIES = 10;
/** What is over is looked for so often: by a clock that tests move. */
const LOOK_EVERY = 250;

interface Open {
  readonly outcome: PromiseWithResolvers<{ readonly node: string; readonly fingerprint: string }>;
  readonly end: (why: string) => Promise<void>;
}

const NodeName = v.pipe(v.string(), v.regex(/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/));
const HelloText = v.pipe(v.string(), v.parseJson(), v.strictObject({ id: Bytes, key: Bytes, node: NodeName, proof: Bytes }));

export function openInvitations({ isShared, rootKeys, authority, hosts, clock, log, record }: InvitationsParts): Invitations {
  const open = new Map<string, Open>();

  async function invite({ options }: Command): Promise<unknown> {
    if (!isShared) throw new Error('the store of this service is in its data folder: it is the only node');
    if (open.size >= MOST_OPEN) throw new Error(`there are ${MOST_OPEN} invitations open; wait until one is used or over`);
    const minutes = minutesOf(options.get('minutes') ?? String(MINUTES));
    const { host, listensOn } = placeOf(options.get('address') ?? undefined, hosts);
    const invited = newInvited(Buffer.from(new X509Certificate(authority.certificate).fingerprint256.replaceAll(':', ''), 'hex'));
    const id = toBase64url(invited.id);
    const outcome: Open['outcome'] = Promise.withResolvers();
    // Nobody may be waiting for it.
    outcome.promise.catch(() => undefined);
    const until = clock.now() + minutes * 60_000;
    let left = TRIES;
    let isUsed = false;
    let isOver = false;

    /** Undefined to refuse; whatever is wrong, the answer and its time are the same. */
    async function answer(text: string): Promise<object | undefined> {
      const hello = v.safeParse(HelloText, text);
      if (!hello.success || isUsed || isOver || clock.now() >= until || left <= 0) return undefined;
      // Even where the id is another, the proof is looked at: it cannot be right, and takes as long.
      const given = answerJoin(invited, hello.output, rootKeys);
      if (given === undefined || toBase64url(hello.output.id) !== id) {
        left -= 1;
        log.warn({ invitation: id, triesLeft: left }, 'somebody came with a wrong invitation');
        if (left === 0) setImmediate(() => end('it was tried too often with a wrong secret'));
        return undefined;
      }
      isUsed = true;
      const { node } = hello.output;
      const { fingerprint, welcome } = given;
      try {
        await record('NodeJoin', { node, fingerprint });
      } catch (cause) {
        setImmediate(() => end('it was used, and that could not be recorded'));
        throw cause;
      }
      log.warn({ node, fingerprint }, 'a node was given the root key');
      outcome.resolve({ node, fingerprint });
      setImmediate(() => end('it was used'));
      return { key: toBase64url(welcome.key), sealed: toBase64url(welcome.sealed) };
    }

    const leaf = await authority.leaf([host]);
    const port: JoinPort = await openJoinPort({ host: listensOn, port: portOf(options.get('port') ?? '0'), leaf }, answer);
    const timer = setInterval(() => {
      if (clock.now() >= until) end('its time is over').catch(() => undefined);
    }, LOOK_EVERY).unref();
    async function end(why: string): Promise<void> {
      if (!open.delete(id)) return;
      // From here on nothing is given: a connection that is still there would be measured by a secret that is no longer one.
      isOver = true;
      clearInterval(timer);
      outcome.reject(new Error(`the invitation ended: ${why}`));
      await port.close();
      invited.secret.fill(0);
    }
    open.set(id, { outcome, end });
    try {
      await record('NodeInvite', { invitation: id, minutes });
    } catch (cause) {
      await end('it could not be recorded');
      throw cause;
    }
    log.info({ invitation: id, port: port.port, minutes }, 'a node is invited');
    return {
      id,
      invitation: invitationText({ ...invited, host, port: port.port }),
      minutes,
      address: `${host}:${port.port}`,
      loopback: isLoopback(listensOn),
    };
  }

  return {
    invite,
    outcome: async ({ options }) => {
      const found = open.get(options.get('id') ?? '');
      if (found === undefined) throw new Error('there is no such invitation');
      return found.outcome.promise;
    },
    close: async () => {
      await Promise.all([...open.values()].map(({ end }) => end('the service was stopped')));
    },
  };
}

/** What the invitation says, and what is listened on for it. Without being told: the first address that others may reach. */
function placeOf(address: string | undefined, hosts: readonly string[]): { readonly host: string; readonly listensOn: string } {
  const listensOn = hosts.find((host) => !isLoopback(host)) ?? hosts[0] ?? '127.0.0.1';
  const isWild = listensOn === '0.0.0.0' || listensOn === '::';
  const host = address ?? (isWild ? hostname() : listensOn);
  if (!isHost(host)) throw new Error('--address: a name or an IP address of this machine');
  return { host, listensOn };
}

function isLoopback(host: string): boolean {
  return host === '::1' || host.startsWith('127.');
}

function minutesOf(text: string): number {
  const minutes = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (minutes < 1 || minutes > MOST_MINUTES) throw new Error(`--minutes: a number from 1 to ${MOST_MINUTES}`);
  return minutes;
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw new Error('--port: a number from 0 to 65535');
  return port;
}
