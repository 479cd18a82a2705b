import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { seededRandom } from '../../runtime/common/random.ts'
import { AUTHORITY_MS, type ClusterCertificates, LEAF_MS, type RoleCertificate, rotate, SETTLE_MS } from './certificate-rotation.ts'

const none: ClusterCertificates = { authorities: [], roles: { jobmanager: undefined, taskmanager: undefined } }
const startMs = Date.UTC(2026, 0, 1)

/** As one side of a handshake looks at the other. */
function trusts(side: RoleCertificate, peer: RoleCertificate, nowMs: number): boolean {
  const certificate = new X509Certificate(peer.certificate)
  const isValid = Date.parse(certificate.validFrom) <= nowMs && nowMs <= Date.parse(certificate.validTo)
  const authorities = side.trusted.split(/(?<=-----END CERTIFICATE-----\n)/).filter(text => text !== '')
  return (
    isValid && authorities.some(text => certificate.checkIssued(new X509Certificate(text)) && certificate.verify(new X509Certificate(text).publicKey))
  )
}

test('over two years every process trusts every other one at any time, though each reads late, and the operator is away or dies between two writes', {
  timeout: 120_000,
}, () => {
  let [rotations, crashes, authoritiesMax] = [0, 0, 0]
  for (let seed = 0; seed < 8; seed++) {
    const random = seededRandom(seed)
    let stored = none
    /** What was written to each role, and when. */
    const written: Record<'jobmanager' | 'taskmanager', { readonly atMs: number; readonly what: RoleCertificate }[]> = {
      jobmanager: [],
      taskmanager: [],
    }
    const authorities = new Set<string>()
    for (let nowMs = startMs, dueMs = startMs; nowMs < startMs + 2 * AUTHORITY_MS; ) {
      const rotation = rotate(stored, { name: 'test', random, nowMs })
      // One write after the other; it may die before each.
      const writes = random.nextInt(4) === 0 ? random.nextInt(3) : 3
      if (writes < 3) crashes++
      if (writes > 0) stored = { ...stored, authorities: rotation.wanted.authorities }
      for (const [n, role] of (['jobmanager', 'taskmanager'] as const).entries()) {
        const what = rotation.wanted.roles[role]
        if (writes <= n + 1 || what === undefined || what === stored.roles[role]) continue
        stored = { ...stored, roles: { ...stored.roles, [role]: what } }
        written[role].push({ atMs: nowMs, what })
      }
      for (const { certificate } of rotation.wanted.authorities) authorities.add(certificate)
      authoritiesMax = Math.max(authoritiesMax, stored.authorities.length)
      expect(rotation.dueMs).toBeGreaterThan(nowMs)
      dueMs = writes < 3 ? nowMs + 1_000 : rotation.dueMs
      // Another operator looks at once; else it is on time, or late by up to five days.
      const lateMs = random.nextInt(3) === 0 ? random.nextInt(5 * 86_400_000) : random.nextInt(20_000)
      const nextMs = random.nextInt(3) === 0 ? nowMs + 1 + random.nextInt(60_000) : dueMs + lateMs
      if (stored.roles.jobmanager !== undefined && stored.roles.taskmanager !== undefined)
        for (const atMs of [nowMs, nowMs + random.nextInt(SETTLE_MS), nextMs].filter(each => each <= nextMs)) {
          // Of what was written within the last minutes a process has one or the other.
          const seen = (role: 'jobmanager' | 'taskmanager') => {
            const oldest = written[role].findLastIndex(each => each.atMs <= atMs - SETTLE_MS)
            return written[role].slice(Math.max(0, oldest))
          }
          for (const a of seen('jobmanager'))
            for (const b of seen('taskmanager')) expect([trusts(a.what, b.what, atMs), trusts(b.what, a.what, atMs)]).toEqual([true, true])
          for (const a of seen('taskmanager')) for (const b of seen('taskmanager')) expect(trusts(a.what, b.what, atMs)).toBe(true)
        }
      nowMs = nextMs
    }
    rotations += authorities.size - 1
    expect(written.taskmanager.length).toBeGreaterThan((2 * AUTHORITY_MS) / LEAF_MS)
  }
  expect(rotations).toBeGreaterThanOrEqual(16)
  expect(crashes).toBeGreaterThan(20)
  expect(authoritiesMax).toBe(2)
})

test('what is as it shall be stays the same object, and nothing is due for weeks', () => {
  const random = seededRandom(1)
  const first = rotate(none, { name: 'test', random, nowMs: startMs })
  const again = rotate(first.wanted, { name: 'test', random, nowMs: startMs + 86_400_000 })
  expect(again.wanted.authorities).toBe(first.wanted.authorities)
  expect(again.wanted.roles.jobmanager).toBe(first.wanted.roles.jobmanager)
  expect(again.wanted.roles.taskmanager).toBe(first.wanted.roles.taskmanager)
  expect(first.dueMs).toBe(startMs + (LEAF_MS * 2) / 3)
})

test('after a very long absence, with everything expired, there are new ones', () => {
  const random = seededRandom(2)
  const first = rotate(none, { name: 'test', random, nowMs: startMs })
  const nowMs = startMs + 2 * AUTHORITY_MS
  const { wanted } = rotate(first.wanted, { name: 'test', random, nowMs })
  const { jobmanager, taskmanager } = wanted.roles
  expect(wanted.authorities.length).toBe(1)
  expect(jobmanager !== undefined && taskmanager !== undefined && trusts(jobmanager, taskmanager, nowMs)).toBe(true)
})
