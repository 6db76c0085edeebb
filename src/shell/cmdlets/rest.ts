// Invoke-AzRestMethod: any call on the service, with the session's token. The token goes to the service's own addresses only.

import { apiVersions, type ClientContext, call, completed, directory, hsmPlace, type Place, resourceManager } from '../client.ts';
import { ShellError } from '../errors.ts';
import { shape } from '../value.ts';
import { define } from './define.ts';

export const invokeRestMethod = define({
  name: 'Invoke-AzRestMethod',
  aliases: ['Invoke-AzRest'],
  synopsis: 'Calls any address of the service and shows its answer, whatever its status.',
  parameters: {
    Path: { type: 'string', mandatory: ['ByPath'], position: 0, help: 'Path on the resource manager, with ?api-version=….' },
    Uri: { type: 'uri', mandatory: ['ByURI'], help: 'Whole address: of the resource manager, of Graph or of an HSM (its HsmUri).' },
    Method: { type: 'string', values: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'], default: 'GET' },
    Payload: { type: 'string', help: 'The body, as JSON text.' },
    WaitForCompletion: { type: 'switch', help: 'Follows a long-running operation to its end.' },
  },
  parameterSets: { default: 'ByPath', sets: { ByPath: ['Path'], ByURI: ['Uri'] } },
  changes: true,
  examples: [
    { code: 'Invoke-AzRestMethod -Path "/subscriptions?api-version=2021-01-01"', text: 'Lists the subscriptions.' },
    { code: 'Invoke-AzRestMethod -Uri "$($hsm.HsmUri)keys?api-version=7.6"', text: 'Lists the keys of an HSM.' },
  ],
  outputs: 'PSHttpResponse',
  async run(context, args) {
    const target = args.Uri ?? args.Path ?? '/';
    const place =
      args.Uri === undefined ? await resourceManager(context, apiVersions.resources) : await placeOf(context, new URL(args.Uri));
    if (args.Method !== 'GET' && !(await context.shouldProcess(args.Method, target))) return undefined;
    const path = target.startsWith('http') || target.startsWith('/') ? target : `/${target}`;
    const first = await call(context, place, args.Method, path, { body: args.Payload, allow: everyFailure });
    const answer = args.WaitForCompletion && first.status < 400 ? await completed(context, place, first, `waiting for ${target}`) : first;
    return shape('PSHttpResponse', {
      StatusCode: answer.status,
      Method: args.Method,
      Headers: shape('HttpHeaders', { ...answer.headers }),
      Content: answer.text,
    });
  },
});

/** The answer is what the user asked for, be it a refusal. */
const everyFailure = Array.from({ length: 200 }, (_, index) => 400 + index);

/** Which of the service's addresses a URL belongs to. Throws for any other, which must not see a token. */
async function placeOf(context: ClientContext, url: URL): Promise<Place> {
  const { managedHsmSuffix } = await context.session.connection();
  const manager = await resourceManager(context, apiVersions.resources);
  const graph = await directory(context);
  if (url.origin === graph.origin && url.pathname.startsWith('/v1.0/')) return graph;
  if (url.origin === manager.origin) return manager;
  if (url.protocol === 'https:' && url.host.endsWith(`.${managedHsmSuffix}`)) {
    return hsmPlace(context, url.host.slice(0, -managedHsmSuffix.length - 1));
  }
  throw new ShellError(`'${url.origin}' is not an address of this service; a token is not sent there`, { category: 'refused' });
}
