// A person at a browser who approves a sign-in on another device: opens the page, types the code, then name and password.

import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import type { ConnectionFile } from '../../src/connection-file.ts';

/** Returns the title of the page that ends it. */
export async function approveDevice(connection: ConnectionFile, page: string, code: string): Promise<string> {
  const ca = await readFile(connection.caFile);
  const asked = await submit(page, ca, { user_code: code });
  const fields = [...asked.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g)].map(([, name, value]) => [
    name ?? '',
    value ?? '',
  ]);
  const { userPrincipalName, password } = connection.user;
  const done = await submit(page, ca, { ...Object.fromEntries(fields), username: userPrincipalName, password, answer: 'approve' });
  return /<h1>([^<]*)<\/h1>/.exec(done)?.[1] ?? done;
}

function submit(url: string, ca: Buffer, fields: Readonly<Record<string, string>>): Promise<string> {
  return new Promise((done, failed) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const call = request(url, { method: 'POST', ca, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (piece: string) => (body += piece));
      response.on('error', failed).on('end', () => done(body));
    });
    call.on('error', failed).end(new URLSearchParams(fields).toString());
  });
}
