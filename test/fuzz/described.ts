// What the published OpenAPI documents describe, as something to aim at: every operation with its method, its query, and bodies made from the schema that its
// body has. Knows nothing of the service.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Random } from './random.ts';

const FOLDER = resolve(import.meta.dirname, '../../../shared/spec/openapi');

export const isThere = existsSync(FOLDER);

export interface Described {
  readonly method: string;
  /** With `{parameters}`. */
  readonly path: string;
  readonly version: string;
  /** Names of what its query may have, besides the version. */
  readonly queries: readonly string[];
  /** A body as its schema wants it, where it has one, now and then with something optional left out. */
  body?(random: Random): unknown;
}

/** JSON as the documents have it: what matters of it is looked at where it matters. */
type Node = Readonly<Record<string, unknown>>;

interface Placed {
  readonly node: Node;
  /** The document in which it stands, for the references inside. */
  readonly file: string;
}

const documents = new Map<string, Node>();

function documentOf(file: string): Node {
  const known = documents.get(file) ?? asNode(JSON.parse(readFileSync(file, 'utf8')));
  documents.set(file, known);
  return known;
}

function asNode(value: unknown): Node {
  return typeof value === 'object' && value !== null ? Object(value) : {};
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Behind its references; an empty node where one leads nowhere. */
function followed(value: unknown, file: string): Placed {
  const node = asNode(value);
  if (typeof node.$ref !== 'string') return { node, file };
  const [place = '', pointer = ''] = node.$ref.split('#');
  const target = place === '' ? file : (commonTypes(place) ?? resolve(dirname(file), place));
  if (!existsSync(target)) return { node: {}, file };
  const parts = pointer.split('/').slice(1);
  const found = parts.reduce<unknown>(
    (at, part) => asNode(at)[decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')],
    documentOf(target),
  );
  return followed(found, target);
}

/** Where these lie here. */
function commonTypes(place: string): string | undefined {
  const [, version, file] = /common-types\/resource-management\/(v\d+)\/(\w+)\.json$/.exec(place) ?? [];
  return version === undefined ? undefined : join(FOLDER, 'control-plane/common-types', `${file}.${version}.json`);
}

/** Every operation of the documents of one plane, in each version that it has. */
export function described(plane: 'data-plane' | 'control-plane'): readonly Described[] {
  const folder = join(FOLDER, plane);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.json') && !/example|raw|common-types/i.test(file))
    .flatMap((file) => operationsIn(join(folder, file)));
}

const METHODS = new Set(['get', 'put', 'post', 'patch', 'delete', 'head', 'options']);

function operationsIn(file: string): readonly Described[] {
  const document = documentOf(file);
  const version = String(asNode(document.info).version);
  return Object.entries(asNode(document.paths)).flatMap(([path, item]) =>
    Object.entries(asNode(item))
      .filter(([method]) => METHODS.has(method))
      .map(([method, operation]) => {
        const own = [...asList(asNode(item).parameters), ...asList(asNode(operation).parameters)].map((one) => followed(one, file));
        const queries = own.filter(({ node }) => node.in === 'query' && node.name !== 'api-version').map(({ node }) => String(node.name));
        const body = own.find(({ node }) => node.in === 'body');
        const common = { method: method.toUpperCase(), path, version, queries };
        return body === undefined ? common : { ...common, body: (random: Random) => made(body.node.schema, body.file, random, 0) };
      }),
  );
}

const DEEPEST = 8;
const TEXTS: Readonly<Record<string, readonly string[]>> = {
  base64url: ['', 'AA', 'A'.repeat(43), 'A'.repeat(86), 'AQAB', '____'],
  byte: ['', 'AA==', 'A'.repeat(44)],
  uuid: ['00000000-0000-0000-0000-000000000000', '11111111-2222-4333-8444-555555555555'],
  'date-time': ['2026-01-01T00:00:00Z', '1969-12-31T23:59:59.999Z', '9999-12-31T23:59:59Z'],
  uri: ['https://a.blob.core.windows.net/c', 'file:///etc', 'http://127.0.0.1/'],
  'arm-id': ['/subscriptions/x/resourceGroups/y', '/'],
};
const ANY_TEXT = [
  '',
  'a',
  'x-y',
  '1',
  'P90D',
  'norwayeast',
  'default',
  'é',
  '10.0.0.0/8',
  ...(TEXTS.uuid ?? []),
  ...(TEXTS.base64url ?? []),
];

/** A value of the schema. */
function made(schema: unknown, from: string, random: Random, depth: number): unknown {
  const { node, file } = followed(schema, from);
  if (depth > DEEPEST) return null;
  if (Array.isArray(node.enum)) return random.of(node.enum);
  switch (node.type) {
    case 'string':
      return random.of(TEXTS[String(node.format)] ?? ANY_TEXT);
    case 'boolean':
      return random.oneIn(2);
    case 'integer':
    case 'number':
      return random.of([0, 1, 2, 7, 90, 2048, 3072, 256, 1_800_000_000, Number(node.minimum ?? -1), Number(node.maximum ?? 2 ** 31)]);
    case 'array':
      return Array.from({ length: random.below(4) }, () => made(node.items, file, random, depth + 1));
    default:
      return madeObject({ node, file }, random, depth);
  }
}

function madeObject({ node, file }: Placed, random: Random, depth: number): Node {
  const inherited = asList(node.allOf).map((one) => asNode(made(one, file, random, depth + 1)));
  const required = asList(node.required);
  const members = Object.entries(asNode(node.properties)).filter(([name]) => required.includes(name) || !random.oneIn(3));
  const free = node.additionalProperties === undefined ? [] : [['a', node.additionalProperties] as const];
  const own = [...members, ...free].map(([name, inner]) => [name, made(inner, file, random, depth + 1)] as const);
  return Object.assign({}, ...inherited, Object.fromEntries(own));
}
