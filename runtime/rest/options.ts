import type { ConfigOption } from '../common/config.ts'

export const restOptions = {
  port: {
    key: 'rest.port',
    type: 'int',
    defaultValue: 8081,
    doc: 'the port of the REST server; 0 takes a free one. Clients connect to it',
  } satisfies ConfigOption<number>,
  address: { key: 'rest.address', type: 'string', defaultValue: 'localhost', doc: 'the host that clients connect to' } satisfies ConfigOption<string>,
  bindAddress: {
    key: 'rest.bind-address',
    type: 'string',
    defaultValue: '127.0.0.1',
    doc: 'the address the REST server listens on; anything but a loopback address requires rest.token, or rest.require-token',
  } satisfies ConfigOption<string>,
  token: {
    key: 'rest.token',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'requests must carry "Authorization: Bearer <token>" when it is set; GET /config stays open for probes',
  } satisfies ConfigOption<string | undefined>,
  tokenFile: {
    key: 'rest.token-file',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'a file with what rest.token would say: it does not show in the arguments of a process',
  } satisfies ConfigOption<string | undefined>,
  requireToken: {
    key: 'rest.require-token',
    type: 'boolean',
    defaultValue: false,
    doc: "whether requests must carry a token, also on loopback and without rest.token: the cluster's own does (cluster.token), which the commands on the cluster's machine find by themselves. The command line of Flink sends none",
  } satisfies ConfigOption<boolean>,
  maxContentLength: {
    key: 'rest.server.max-content-length',
    type: 'memory',
    defaultValue: 100 * 2 ** 20,
    doc: 'the largest request body, uploads included',
  } satisfies ConfigOption<number>,
  retryMaxAttempts: {
    key: 'rest.retry.max-attempts',
    type: 'int',
    defaultValue: 3,
    doc: 'how often a client sends a request in all when nobody listens, the connection breaks or the answer is 503; a person waits for it, so less than the 20 of Flink',
  } satisfies ConfigOption<number>,
  retryDelay: {
    key: 'rest.retry.delay',
    type: 'duration',
    defaultValue: 300,
    doc: 'the pause between two attempts of a client',
  } satisfies ConfigOption<number>,
  submitEnabled: {
    key: 'web.submit.enable',
    type: 'boolean',
    defaultValue: true,
    doc: 'whether /jars takes uploads and runs them; POST /jars is absent otherwise',
  } satisfies ConfigOption<boolean>,
  cancelEnabled: {
    key: 'web.cancel.enable',
    type: 'boolean',
    defaultValue: true,
    doc: 'whether the web UI offers to cancel jobs',
  } satisfies ConfigOption<boolean>,
  refreshInterval: {
    key: 'web.refresh-interval',
    type: 'duration',
    defaultValue: 3_000,
    doc: 'how often the web UI asks again',
  } satisfies ConfigOption<number>,
  uploadDir: {
    key: 'web.upload.dir',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'where uploaded job bundles are kept; a new temporary directory when unset',
  } satisfies ConfigOption<string | undefined>,
  asyncStoreDuration: {
    key: 'rest.async.store-duration',
    type: 'duration',
    defaultValue: 300_000,
    doc: 'how long the result of a triggered operation, such as a savepoint, can be asked for',
  } satisfies ConfigOption<number>,
  allowOrigin: {
    key: 'web.access-control-allow-origin',
    type: 'string',
    defaultValue: '*',
    doc: 'the Access-Control-Allow-Origin header of answers; requests that change something are taken from the own origin only',
  } satisfies ConfigOption<string>,
}

export const restOptionTable: readonly ConfigOption<unknown>[] = Object.values(restOptions)
