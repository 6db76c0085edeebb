// Judges answers by the published OpenAPI documents, where they lie beside the checkout: the status is one that the operation has, and the body is what its
// schema says. Knows nothing of the service; what no document mentions is not judged.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';

const FOLDER = resolve(import.meta.dirname, '../../shared/spec/openapi');
const DATA_PLANE = join(FOLDER, 'data-plane/7.6');
const CONTROL_PLANE = join(FOLDER, 'control-plane');

interface Described {
  readonly method: string;
  readonly path: RegExp;
  /** Characters of the template that are no parameter: of two that fit, the one with more is meant. */
  readonly fixed: number;
  readonly template: string;
  readonly responses: Readonly<Record<string, string | undefined>>;
}

/** What is wrong with an answer, in words; empty when it is as described, or described nowhere. */
export interface Judge {
  complaints(place: 'hsm' | 'arm', method: string, path: string, status: number, body: unknown): readonly string[];
}

export const isThere = existsSync(FOLDER);

/** Reads the documents once. */
export function openJudge(): Judge {
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true, verbose: true, logger: false });
  const described = { hsm: operationsIn(ajv, filesIn(DATA_PLANE)), arm: operationsIn(ajv, filesIn(CONTROL_PLANE)) };
  const validators = new Map<string, ValidateFunction>();

  function validator(reference: string): ValidateFunction {
    const known = validators.get(reference) ?? ajv.compile({ $ref: reference });
    validators.set(reference, known);
    return known;
  }

  return {
    complaints(place, method, path, status, body) {
      const fitting = described[place].filter((operation) => operation.method === method && operation.path.test(path));
      const [operation] = fitting.sort((one, other) => other.fixed - one.fixed);
      if (operation === undefined) return [];
      const answer = String(status) in operation.responses ? String(status) : 'default';
      if (!(answer in operation.responses)) return [`${method} ${operation.template} has no answer ${status}`];
      const reference = operation.responses[answer];
      if (reference === undefined) return [];
      const validate = validator(reference);
      if (validate(body)) return [];
      const errors = (validate.errors ?? []).filter((error) => !isKnownToDiffer(error));
      return errors.map(
        ({ instancePath, message }) => `${method} ${operation.template} ${status}: ${instancePath || 'the body'} ${message}`,
      );
    },
  };
}

/** Where recordings of the live service differ from its own documents, the recordings count. */
function isKnownToDiffer({ keyword, params, data, instancePath }: ErrorObject): boolean {
  // subscriptions.json requires a next link; the last page has none.
  if (keyword === 'required') return params.missingProperty === 'nextLink';
  // securitydomain.json has an object; the service and every client have its JSON text.
  if (keyword === 'type' && instancePath === '/transfer_key') return typeof data === 'string';
  // backuprestore.json has texts; of a job that has not ended the service says null.
  if (keyword === 'type' && data === null) return /^\/(?:azureStorageBlobContainerUri|endTime|error|statusDetails)$/.test(instancePath);
  // keys.json has an action of type 'Rotate'; the service answers 'rotate'.
  return keyword === 'enum' && params.allowedValues.some((value: unknown) => String(value).toLowerCase() === data);
}

function filesIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  // Of two documents that describe an address the later version counts: it is read first.
  const documents = files.filter((file) => file.endsWith('.json') && !/example|preview|reconstructed/i.test(file));
  return documents
    .sort()
    .reverse()
    .map((file) => join(folder, file));
}

interface Document {
  readonly swagger?: string;
  readonly paths?: Readonly<
    Record<string, Readonly<Record<string, { readonly responses?: Readonly<Record<string, { readonly schema?: object }>> }>>>
  >;
}

function operationsIn(ajv: Ajv, files: readonly string[]): Described[] {
  const operations: Described[] = [];
  for (const file of files) {
    const document: Document = JSON.parse(readFileSync(file, 'utf8'), adapted);
    if (document.swagger === undefined) continue;
    const id = pathToFileURL(file).href;
    ajv.addSchema({ ...document, $id: id });
    for (const [template, methods] of Object.entries(document.paths ?? {})) {
      for (const [method, { responses = {} }] of Object.entries(methods)) {
        const references = Object.entries(responses).map(([status, { schema }]) => {
          const pointer = ['paths', template, method, 'responses', status, 'schema'].map(escaped).join('/');
          return [status, schema === undefined ? undefined : `${id}#/${pointer}`] as const;
        });
        operations.push({ method: method.toUpperCase(), ...patternOf(template), template, responses: Object.fromEntries(references) });
      }
    }
  }
  return operations;
}

/**
 * Common types lie elsewhere here than in the repository that the documents come from. Lists of values that a document itself calls open
 * (`modelAsString`) are examples, not rules.
 */
function adapted(name: string, value: unknown): unknown {
  if (name === '$ref' && typeof value === 'string') {
    return value.replace(/^.*common-types\/resource-management\/(v\d+)\/(\w+)\.json/, (_whole, version: string, file: string) => {
      return pathToFileURL(join(CONTROL_PLANE, 'common-types', `${file}.${version}.json`)).href;
    });
  }
  if (typeof value !== 'object' || value === null || !('x-ms-enum' in value) || !('enum' in value)) return value;
  if (Object(value['x-ms-enum']).modelAsString !== true) return value;
  const { enum: _examples, ...rest } = value;
  return rest;
}

function escaped(part: string): string {
  return encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));
}

/** `{scope}` may be empty or several segments; a version that is left out is the latest. */
function patternOf(template: string): { readonly path: RegExp; readonly fixed: number } {
  const quoted = template.replace(/\?.*$/, '').replace(/[.*+?^$()|[\]\\]/g, '\\$&');
  const pattern = quoted
    .replace(/\/\{scope\}/g, '(?:/.*)?')
    .replace(/\/\{key-version\}/g, '(?:/[0-9a-f]*)?')
    .replace(/\{[^}]+\}/g, '[^/]+');
  return { path: new RegExp(`^${pattern}/?$`, 'i'), fixed: template.replace(/\{[^}]+\}/g, '').length };
}
