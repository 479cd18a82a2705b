import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { FlinkError } from '../common/errors.ts'
import { HttpError, pathOf } from './http-errors.ts'

/**
 * Who may ask. The server listens on a loopback address, or requires a token; a token is compared in constant time.
 *
 * Listening on loopback does not keep a web page in the user's browser out, so with every request: the Host must be a name of this machine
 * (a page cannot rebind its own name to 127.0.0.1), and a request that changes something must not come from another origin.
 */
export interface GuardOptions {
  readonly bindAddress: string
  /** `rest.token`: clients. */
  readonly token: string | undefined
  /** `rest.require-token`: one is needed, also without `rest.token`. */
  readonly requireToken: boolean
  /** The cluster's own token: whoever runs the cluster has it. */
  readonly clusterToken: string | undefined
}

export function requireSafeBinding({ bindAddress, token, requireToken, clusterToken }: GuardOptions): void {
  if (requireToken && token === undefined && clusterToken === undefined)
    throw new FlinkError('INVALID_CONFIGURATION', 'rest.require-token is true, and there is neither rest.token nor a token of the cluster')
  if (isLoopback(bindAddress) || token !== undefined || requireToken) return
  throw new FlinkError(
    'INVALID_CONFIGURATION',
    `rest.bind-address ${bindAddress} is reachable from other machines and rest.token is not set: set rest.token or rest.require-token, or bind to 127.0.0.1`,
  )
}

export function installGuard(app: FastifyInstance, options: GuardOptions): void {
  app.addHook('onRequest', async request => {
    const path = pathOf(request).replace(/^\/v1(?=\/|$)/, '')
    if (isLoopback(options.bindAddress)) requireLocalHost(request)
    if (request.method === 'OPTIONS') return
    if (changesSomething(request.method, path)) requireOwnOrigin(request)
    const accepted = [options.token, options.clusterToken].filter(token => token !== undefined)
    const needed = options.token !== undefined || options.requireToken
    // The probe of a pod has no secret, and the versions are none.
    if (!needed || path === '/config') return
    const given = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    if (given === undefined) throw new HttpError(401, 'a token is required: send "Authorization: Bearer <rest.token>", or the token of the cluster')
    if (!accepted.some(token => sameText(token, given))) throw new HttpError(401, 'the token is wrong')
  })
}

function requireLocalHost(request: FastifyRequest): void {
  const name = (request.headers.host ?? '').replace(/:\d+$/, '')
  if (!isLoopback(name)) throw new HttpError(403, `host ${JSON.stringify(name)} is not a name of the loopback interface`)
}

function requireOwnOrigin(request: FastifyRequest): void {
  const origin = request.headers.origin
  const sameHost = origin === undefined || origin === `http://${request.headers.host}` || origin === `https://${request.headers.host}`
  const site = request.headers['sec-fetch-site']
  const sameSite = site === undefined || site === 'same-origin' || site === 'none'
  if (!sameHost || !sameSite) throw new HttpError(403, 'requests that change something are taken from the own origin only')
}

function changesSomething(method: string, path: string): boolean {
  return (method !== 'GET' && method !== 'HEAD') || /\/yarn-(cancel|stop)$/.test(path)
}

export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?|\[?::ffff:127(\.\d{1,3}){3}\]?)$/i.test(host)
}

function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
