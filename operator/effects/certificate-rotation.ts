import type { ClusterRole } from '../../runtime/common/cluster-sockets.ts'
import type { Random } from '../../runtime/common/random.ts'
import { createAuthority, expiryMs, isIssuedBy, issueCertificate, type KeyAndCertificate } from './certificates.ts'

/**
 * The certificates of a cluster over time: what they shall be now, by what they are. Nothing but them is remembered.
 *
 * 1. A role's certificate lives LEAF_MS and is issued anew when a third of that is left; an authority lives AUTHORITY_MS and gets a successor when a third is left.
 * 2. Processes read what is written to them within SETTLE_MS. So a new authority is trusted by all before it issues anything, and an old one is trusted until all have what the new one issued.
 * 3. Written in this order: authorities, then what the roles have. After a crash anywhere the next look goes on.
 */
export interface ClusterCertificates {
  /** The oldest first. */
  readonly authorities: readonly KeyAndCertificate[]
  readonly roles: Readonly<Record<ClusterRole, RoleCertificate | undefined>>
}

export interface RoleCertificate extends KeyAndCertificate {
  /** Certificates of the authorities that the role trusts, one behind the other. */
  readonly trusted: string
  /** Since when all of this has been as it is. */
  readonly sinceMs: number
}

const DAY_MS = 86_400_000
export const LEAF_MS = 30 * DAY_MS
export const AUTHORITY_MS = 365 * DAY_MS
/** A kubelet looks at Secrets about once a minute. */
export const SETTLE_MS = 10 * 60_000
const ROLES = ['jobmanager', 'taskmanager'] as const

export interface RotationParts {
  /** Of the authority: people read it. */
  readonly name: string
  readonly random: Random
  readonly nowMs: number
}

export interface Rotation {
  /** What has not changed is the same object. */
  readonly wanted: ClusterCertificates
  /** When to look again. */
  readonly dueMs: number
}

export function rotate(current: ClusterCertificates, { name, random, nowMs }: RotationParts): Rotation {
  const authorities = authoritiesOf(current, { name, random, nowMs })
  const trusted = authorities.map(({ certificate }) => certificate).join('')
  const issuing = issuingOf(authorities, current, nowMs)
  const roleOf = (role: ClusterRole): RoleCertificate => {
    const before = current.roles[role]
    const isCurrent =
      before !== undefined && isIssuedBy(before.certificate, issuing.certificate) && expiryMs(before.certificate) - nowMs > LEAF_MS / 3
    if (isCurrent && before.trusted === trusted) return before
    const issued = isCurrent ? before : issueCertificate(issuing, [role], { random, nowMs, validMs: LEAF_MS })
    return { ...issued, trusted, sinceMs: nowMs }
  }
  const roles = { jobmanager: roleOf('jobmanager'), taskmanager: roleOf('taskmanager') }
  const ends = [...ROLES.map(role => expiryMs(roles[role].certificate) - LEAF_MS / 3), expiryMs(newest(authorities).certificate) - AUTHORITY_MS / 3]
  const settled = authorities.length > 1 ? Math.max(nowMs, ...ROLES.map(role => roles[role].sinceMs)) + SETTLE_MS : Number.POSITIVE_INFINITY
  return { wanted: { authorities, roles }, dueMs: Math.min(settled, ...ends) }
}

function authoritiesOf(current: ClusterCertificates, { name, random, nowMs }: RotationParts): readonly KeyAndCertificate[] {
  const live = current.authorities.filter(({ certificate }) => expiryMs(certificate) > nowMs)
  const last = live.at(-1)
  if (last === undefined || expiryMs(last.certificate) - nowMs <= AUTHORITY_MS / 3)
    return [...live, createAuthority(name, { random, nowMs, validMs: AUTHORITY_MS })]
  const isOver = ROLES.every(role => isSettled(current.roles[role], last, nowMs) && isIssuedBy(current.roles[role]?.certificate, last.certificate))
  const kept = isOver ? [last] : live
  return kept.length === current.authorities.length ? current.authorities : kept
}

/** The newest one that all trust by now; while there is none, the oldest. */
function issuingOf(authorities: readonly KeyAndCertificate[], { roles }: ClusterCertificates, nowMs: number): KeyAndCertificate {
  const known = authorities.findLast(authority => ROLES.every(role => isSettled(roles[role], authority, nowMs)))
  return known ?? authorities[0] ?? newest(authorities)
}

/** Processes of the role have read that they trust it. */
function isSettled(role: RoleCertificate | undefined, { certificate }: KeyAndCertificate, nowMs: number): boolean {
  return role?.trusted.includes(certificate) === true && nowMs - role.sinceMs >= SETTLE_MS
}

function newest(authorities: readonly KeyAndCertificate[]): KeyAndCertificate {
  const last = authorities.at(-1)
  if (last === undefined) throw new RangeError('a cluster has an authority')
  return last
}
