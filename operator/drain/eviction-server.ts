import { timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { z } from 'zod'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { Logger } from '../../runtime/common/log.ts'
import { readTlsFiles, tlsContext } from '../../runtime/common/tls-files.ts'
import type { EvictionRequest, Verdict } from './evictions.ts'

/**
 * The validating admission webhook for CREATE of pods/eviction, over HTTPS. A folder holds `tls.crt`, `tls.key` and `path`, the part of the URL that only the API server is told: it shows no
 * certificate of its own, so that word is what keeps others from having checkpoints taken. All three are read again when they have changed.
 */
const FILES = ['tls.crt', 'tls.key'] as const
const BODY_BYTES_MAX = 1024 * 1024
const TOO_MANY_REQUESTS = 429

/** A trial says so in its query, or as kubectl in the eviction itself. */
const eviction = z.looseObject({ deleteOptions: z.looseObject({ dryRun: z.array(z.string()).optional() }).optional() })

const review = z.looseObject({
  apiVersion: z.literal('admission.k8s.io/v1'),
  kind: z.literal('AdmissionReview'),
  request: z.looseObject({
    uid: z.string(),
    namespace: z.string(),
    name: z.string(),
    dryRun: z.boolean().default(false),
    object: eviction.optional(),
  }),
})

export interface EvictionServer {
  readonly port: number
  close(): Promise<void>
}

export async function serveEvictions(options: {
  readonly host: string
  readonly port: number
  readonly folder: string
  readonly decide: (request: EvictionRequest) => Promise<Verdict>
  readonly log: Logger
}): Promise<EvictionServer> {
  const { host, port, folder, decide, log } = options
  const context = tlsContext(folder, FILES, log)
  wordOf(folder)
  const isTold = (url: string | undefined) => {
    const [given, told] = [Buffer.from(url?.split('?')[0] ?? ''), Buffer.from(`/${wordOf(folder)}`)]
    return given.length === told.length && timingSafeEqual(given, told)
  }
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const send = (code: number, body: object) => response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    if (!isTold(request.url)) return void send(404, { message: 'nothing is served here' })
    const { 'content-length': length = '' } = request.headers
    if (length === '' || Number(length) > BODY_BYTES_MAX)
      return void send(413, { message: `a body of at most ${BODY_BYTES_MAX} bytes is taken, with its length` })
    const parsed = review.safeParse(jsonOf(await text(request)))
    if (!parsed.success)
      return void send(400, { message: `an AdmissionReview of admission.k8s.io/v1 was expected: ${z.prettifyError(parsed.error)}` })
    const { uid, namespace, name, dryRun, object } = parsed.data.request
    const isTrial = dryRun || (object?.deleteOptions?.dryRun ?? []).length > 0
    const verdict = await decide({ namespace, name, dryRun: isTrial })
    log.info(verdict.isAllowed ? 'a pod may be evicted' : 'an eviction waits', { namespace, pod: name, message: verdict.message ?? '' })
    send(200, { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, ...responseOf(verdict) } })
  }
  const server = createServer({ ...readTlsFiles(folder, FILES), SNICallback: (_name, done) => done(null, context()) }, (request, response) => {
    answer(request, response).catch((error: unknown) => {
      log.error('an eviction could not be decided', { reason: (error as Error).message })
      // The API server goes by its failurePolicy.
      response.writeHead(500).end()
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function responseOf({ isAllowed, message }: Verdict): object {
  if (isAllowed) return { allowed: true, ...(message === undefined ? {} : { warnings: [message] }) }
  // As for a disruption budget that has nothing left: who drains asks again.
  return { allowed: false, status: { status: 'Failure', code: TOO_MANY_REQUESTS, reason: 'TooManyRequests', message } }
}

function wordOf(folder: string): string {
  const word = readFileSync(join(folder, 'path'), 'utf8').trim()
  if (word === '') throw new FlinkError('INVALID_CONFIGURATION', `${join(folder, 'path')} is empty: nobody could be told from the API server`)
  return word
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
