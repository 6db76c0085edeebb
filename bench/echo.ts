// The limit of HTTP on this machine: a bare node:https server that parses a JSON body and writes one of about the same length, and nothing else.
// Run as a process of its own: `node bench/echo.ts KEY.pem CERT.pem`; prints its port.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

const [keyFile = '', certificateFile = ''] = process.argv.slice(2);
const options = { key: readFileSync(keyFile), cert: readFileSync(certificateFile), minVersion: 'TLSv1.3' } as const;

const server = createServer(options, (request, response) => {
  const pieces: Buffer[] = [];
  request.on('data', (piece: Buffer) => pieces.push(piece));
  request.on('end', () => {
    const text = Buffer.concat(pieces).toString();
    const body = JSON.stringify(text === '' ? { echo: true } : JSON.parse(text));
    response.writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(body) });
    response.end(body);
  });
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
