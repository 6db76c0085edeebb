// Syslog: RFC 5424 messages over UDP (RFC 5426), TCP with counted octets (RFC 6587 section 3.4.1) or TLS (RFC 5425). Taken means handed to the
// network: the protocol has no word for "I have it".

import { createSocket } from 'node:dgram';
import { connect as connectTcp, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { connect as connectTls } from 'node:tls';
import * as v from 'valibot';
import { eventIn, eventNumberIn } from '../chain-reader.ts';
import type { Sink } from './sink.ts';

/** Facility 13, "log audit"; severities notice and warning (RFC 5424 section 6.2.1). */
const FACILITY = 13 * 8;
const NOTICE = 5;
const WARNING = 4;
const CONNECT_WITHIN = 10_000;

export interface SyslogPlace {
  readonly transport: 'udp' | 'tcp' | 'tls';
  readonly host: string;
  readonly port: number;
  /** Certificate authorities in PEM, instead of the usual ones. */
  readonly ca: string | undefined;
}

const Event = v.object({ time: v.string(), operationName: v.string(), resultType: v.optional(v.string()) });

/** One message. `HOSTNAME APP-NAME PROCID MSGID`: the machine, the program, its process and the operation. */
export function syslogMessage(line: string): string {
  const { time, operationName, resultType } = v.parse(Event, JSON.parse(eventIn(line)));
  const priority = FACILITY + (resultType === 'Success' ? NOTICE : WARNING);
  // MSGID is 32 printable characters without a space.
  const id = operationName.replace(/[^\x21-\x7e]/g, '').slice(0, 32) || '-';
  return `<${priority}>1 ${time} ${hostname()} strongroom ${process.pid} ${id} - ${line}`;
}

export function syslogSink(place: SyslogPlace): Sink {
  const { transport, host, port } = place;
  const send = transport === 'udp' ? datagrams(place) : stream(place);
  return {
    kind: 'syslog',
    id: `syslog ${transport} ${host} ${port}`,
    deliver: async (lines) => {
      const messages = lines.filter((line) => eventNumberIn(line) !== undefined).map((line) => Buffer.from(syslogMessage(line)));
      if (messages.length > 0) await send.messages(messages);
    },
    close: async () => send.close(),
  };
}

interface Sender {
  messages(messages: readonly Buffer[]): Promise<void>;
  close(): void;
}

function datagrams({ host, port }: SyslogPlace): Sender {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4').unref();
  socket.on('error', () => undefined);
  return {
    messages: async (messages) => {
      for (const message of messages) {
        await new Promise<void>((done, failed) => {
          socket.send(message, port, host, (error) => (error ? failed(error) : done()));
        });
      }
    },
    close: () => socket.close(),
  };
}

function stream(place: SyslogPlace): Sender {
  let open: Socket | undefined;

  async function fresh(): Promise<Socket> {
    const socket = await connected(place);
    open = socket;
    socket.once('close', () => {
      open = undefined;
    });
    return socket;
  }

  return {
    messages: async (messages) => {
      const socket = open ?? (await fresh());
      const framed = messages.flatMap((message) => [Buffer.from(`${message.length} `), message]);
      await new Promise<void>((done, failed) => {
        socket.once('error', failed);
        socket.write(Buffer.concat(framed), (error) => {
          socket.off('error', failed);
          if (error) failed(error);
          else done();
        });
      });
    },
    close: () => open?.destroy(),
  };
}

function connected({ transport, host, port, ca }: SyslogPlace): Promise<Socket> {
  return new Promise((done, failed) => {
    const socket =
      transport === 'tcp'
        ? connectTcp({ host, port })
        : connectTls({ host, port, servername: nameOf(host), ...(ca === undefined ? {} : { ca }) });
    const refuse = (error: Error): void => {
      socket.destroy();
      failed(error);
    };
    socket.setTimeout(CONNECT_WITHIN, () => refuse(new Error('no connection within 10 s')));
    socket.once('error', refuse);
    socket.once(transport === 'tcp' ? 'connect' : 'secureConnect', () => {
      socket.off('error', refuse);
      socket.setTimeout(0);
      // Whatever is said to us, and whatever breaks between two batches: the next batch finds out.
      socket
        .on('error', () => undefined)
        .resume()
        .unref();
      done(socket);
    });
  });
}

/** A name for SNI (RFC 6066 section 3): an address is none. */
function nameOf(host: string): string {
  return /^[\d.]+$|:/.test(host) ? '' : host;
}
