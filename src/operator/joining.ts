// A new node uses its invitation: it asks the member for the root key and keeps it in its data folder, before anything else is there. The invitation may be
// an argument, which everybody on the machine can see while the start lasts, a variable, or a line of stdin.

import { X509Certificate } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import * as v from 'valibot';
import type { Config } from '../config.ts';
import { toBase64url } from '../core/encoding.ts';
import { request } from '../core/node-http.ts';
import { beginJoin, type Joined } from '../crypto/join-exchange.ts';
import { forgetKey, keepRootKey, readRootKeyFile } from '../crypto/root-key.ts';
import { rootKeyId } from '../crypto/root-keys.ts';
import { JOIN_PATH } from '../door/join-port.ts';
import { peekMeta } from '../store/open.ts';
import { readSecret } from '../terminal/secret-source.ts';
import { Bytes, type Invitation, parseInvitation } from './invitation.ts';
import { ROOT_KEY_ID } from './root-key-change.ts';

const WITHIN = 10_000;
const LONGEST = 4096;

const WelcomeText = v.pipe(v.string(), v.parseJson(), v.strictObject({ key: Bytes, sealed: Bytes }));

/**
 * The root key from the member that the invitation names, in the file of this data folder; locked under `passphrase`, where one is given. Nothing is done
 * where the file is there already. Throws an Error for the operator.
 */
export async function joinService(
  { join, node, rootKeyFile, dataFolder, store }: Pick<Config, 'join' | 'node' | 'rootKeyFile' | 'dataFolder' | 'store'>,
  passphrase: Uint8Array | undefined,
  log: Logger,
): Promise<void> {
  if (join === undefined) return;
  // What this process starts does not inherit it.
  delete process.env.STRONGROOM_INVITATION;
  const present = await readRootKeyFile(rootKeyFile);
  if (present !== undefined) {
    forgetKey(present);
    log.warn({ rootKeyFile }, 'the root key is there already, and the invitation was not used');
    return;
  }
  const text = join === '-' ? (await readSecret({ kind: 'stdin' })).toString('latin1') : join;
  const { rootKey, fingerprint } = await askMember(parseInvitation(text), node);
  try {
    const known = await peekMeta({ dataFolder, store }, ROOT_KEY_ID);
    if (known !== rootKeyId(rootKey)) throw new Error('the invitation is to another service than the one that has this store');
    await keepRootKey(rootKeyFile, rootKey, passphrase);
  } finally {
    rootKey.fill(0);
  }
  log.warn(
    { fingerprint },
    'joined: the member that invited shows the same fingerprint; if it does not, end this node and rotate the root key',
  );
}

/** The exchange by itself. Throws one Error whatever was refused. */
export async function askMember(invitation: Invitation, node: string): Promise<Joined> {
  const { hello, finish } = beginJoin(invitation, node);
  const socket = await connected(invitation);
  try {
    const text = await answered(socket, {
      id: toBase64url(invitation.id),
      key: toBase64url(hello.key),
      node,
      proof: toBase64url(hello.proof),
    });
    const welcome = v.safeParse(WelcomeText, text);
    if (!welcome.success) throw refused();
    return finish(welcome.output);
  } catch {
    // One for all: what went wrong would help nobody but whoever stands in between.
    throw refused();
  } finally {
    socket.destroy();
  }
}

function refused(): Error {
  return new Error('the invitation was refused: it is wrong, was used, or its time is over. Make a new one with: ./strongroom node invite');
}

/** TLS to whoever shows a certificate of the authority that the invitation names. */
function connected({ host, port, authority }: Invitation): Promise<TLSSocket> {
  return new Promise((done, failed) => {
    // The authority is in no list of this machine's; which one it has to be is checked below.
    const socket = connect({ host, port, rejectUnauthorized: false, minVersion: 'TLSv1.3', timeout: WITHIN });
    const fail = (cause?: Error): void => {
      socket.destroy();
      const reason = cause === undefined ? 'it does not answer' : cause.message;
      const words = `nobody waits at ${host}:${port} (${reason}): the invitation was used, its time is over, or the way there is closed`;
      failed(new Error(words, { cause }));
    };
    socket.once('timeout', fail);
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      socket.off('error', fail).on('error', () => undefined);
      if (isIssuedBy(socket, authority)) return done(socket);
      socket.destroy();
      failed(new Error(`at ${host}:${port} is not the service that the invitation is of: its certificate authority is another one`));
    });
  });
}

function isIssuedBy(socket: TLSSocket, authority: Uint8Array): boolean {
  const chain = socket.getPeerCertificate(true);
  if (chain.raw === undefined || chain.issuerCertificate?.raw === undefined) return false;
  const [leaf, issuer] = [new X509Certificate(chain.raw), new X509Certificate(chain.issuerCertificate.raw)];
  const fingerprint = Buffer.from(issuer.fingerprint256.replaceAll(':', ''), 'hex');
  return fingerprint.equals(authority) && leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey);
}

/** Rejects when the answer is no 200. */
function answered(socket: TLSSocket, hello: object): Promise<string> {
  return new Promise((done, failed) => {
    const body = JSON.stringify(hello);
    const headers = { host: 'member', 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), connection: 'close' };
    const asked = request({ createConnection: () => socket, method: 'POST', path: JOIN_PATH, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
        if (text.length > LONGEST) asked.destroy(new Error('the answer is too long'));
      });
      response.on('error', failed).on('end', () => (response.statusCode === 200 ? done(text) : failed(new Error('refused'))));
    });
    asked.setTimeout(WITHIN, () => asked.destroy(new Error('no answer in time')));
    asked.on('error', failed).end(body);
  });
}
