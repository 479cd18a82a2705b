import { writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { noLog } from '../../runtime/common/log.ts'
import { CertificateFolders, testAuthority } from '../../test/support/certificates.ts'
import { type EvictionServer, serveEvictions } from './eviction-server.ts'
import type { EvictionRequest, Verdict } from './evictions.ts'

const folders = new CertificateFolders()
afterAll(() => folders[Symbol.dispose]())
const authority = testAuthority()

let folder: string
let server: EvictionServer
let verdict: Verdict | Error
const asked: EvictionRequest[] = []
beforeEach(async () => {
  folder = folders.create(authority, ['jobmanager'])
  writeFileSync(join(folder, 'path'), 'word\n')
  asked.length = 0
  verdict = { isAllowed: true }
  server = await serveEvictions({
    host: '127.0.0.1',
    port: 0,
    folder,
    log: noLog,
    decide: async eviction => {
      asked.push(eviction)
      if (verdict instanceof Error) throw verdict
      return verdict
    },
  })
})
afterEach(() => server.close())

const eviction = { uid: 'u1', namespace: 'jobs', name: 'words-tm-0', kind: { kind: 'Eviction' }, operation: 'CREATE' }
const reviewOf = (of: object) => ({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: of })

/** As the API server asks: it trusts `by`, and shows no certificate. */
function ask(path: string, body: unknown, by = authority): Promise<readonly [code: number | undefined, answer: unknown]> {
  return new Promise((resolve, reject) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    request(
      { host: '127.0.0.1', port: server.port, path, method: 'POST', ca: by.certificate, servername: 'jobmanager', agent: false },
      response =>
        void json(response).then(
          answer => resolve([response.statusCode, answer]),
          () => resolve([response.statusCode, undefined]),
        ),
    )
      .on('error', reject)
      .end(text)
  })
}

test('who may go, with a warning or without', async () => {
  expect(await ask('/word?timeout=10s', reviewOf(eviction))).toEqual([200, reviewed({ uid: 'u1', allowed: true })])
  verdict = { isAllowed: true, message: 'without' }
  expect(await ask('/word', reviewOf({ ...eviction, dryRun: true }))).toEqual([200, reviewed({ uid: 'u1', allowed: true, warnings: ['without'] })])
  await ask('/word', reviewOf({ ...eviction, object: { deleteOptions: { dryRun: ['All'] } } }))
  await ask('/word', reviewOf({ ...eviction, object: { deleteOptions: {} } }))
  expect(asked).toEqual([false, true, true, false].map(dryRun => ({ namespace: 'jobs', name: 'words-tm-0', dryRun })))
})

test('who waits is told to ask again, as by a disruption budget', async () => {
  verdict = { isAllowed: false, message: 'later' }
  const status = { status: 'Failure', code: 429, reason: 'TooManyRequests', message: 'later' }
  expect(await ask('/word', reviewOf(eviction))).toEqual([200, reviewed({ uid: 'u1', allowed: false, status })])
})

test('who does not know the path, or says something else, has no effect', async () => {
  expect(await ask('/', reviewOf(eviction))).toMatchObject([404, {}])
  expect(await ask('/wore', reviewOf(eviction))).toMatchObject([404, {}])
  expect(await ask('/word', 'nonsense')).toMatchObject([400, { message: expect.stringContaining('AdmissionReview') as unknown }])
  expect(await ask('/word', reviewOf({ uid: 'u1' }))).toMatchObject([400, { message: expect.stringContaining('request.namespace') as unknown }])
  expect(await ask('/word', reviewOf({ ...eviction, padding: 'x'.repeat(1024 * 1024) }))).toMatchObject([413, {}])
  expect(asked).toEqual([])
})

test('what cannot be decided is left to the failurePolicy', async () => {
  verdict = new Error('the API server does not answer')
  expect(await ask('/word', reviewOf(eviction))).toEqual([500, undefined])
})

test('certificates and path are replaced under it', async () => {
  const next = testAuthority('next')
  folders.replace(folder, next, ['jobmanager'])
  writeFileSync(join(folder, 'path'), 'another')
  await expect(ask('/another', reviewOf(eviction))).rejects.toThrow(/certificate|signature/)
  expect(await ask('/another', reviewOf(eviction), next)).toMatchObject([200, {}])
  expect(await ask('/word', reviewOf(eviction), next)).toMatchObject([404, {}])
})

test('a folder without a word for the path is refused', async () => {
  writeFileSync(join(folder, 'path'), '')
  await expect(serveEvictions({ host: '127.0.0.1', port: 0, folder, log: noLog, decide: async () => ({ isAllowed: true }) })).rejects.toThrow(
    'path is empty',
  )
})

function reviewed(response: object) {
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response }
}
