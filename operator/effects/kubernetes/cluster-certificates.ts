import { X509Certificate } from 'node:crypto'
import type { Clock } from '../../../runtime/common/clock.ts'
import type { ClusterRole } from '../../../runtime/common/cluster-sockets.ts'
import { FlinkError } from '../../../runtime/common/errors.ts'
import type { Random } from '../../../runtime/common/random.ts'
import type { KubeObject } from '../../kube/object-api.ts'
import { secrets } from '../../kube/resources.ts'
import { type ClusterCertificates, type RoleCertificate, rotate } from '../certificate-rotation.ts'
import type { KeyAndCertificate } from '../certificates.ts'
import { type ClusterOwner, certificateSecrets, metadataOf } from './objects.ts'
import type { OwnedObjects } from './owned-objects.ts'

/**
 * The certificates of a cluster as Secrets: `<name>-ca` with the authorities and their keys, which no pod has, and one of type kubernetes.io/tls for the pods of each role. What they shall be
 * certificate-rotation.ts says; they are read when something is due, and by a new operator.
 */
export interface ClusterCertificatesOptions {
  readonly objects: OwnedObjects
  readonly owner: ClusterOwner
  readonly clock: Clock
  readonly random: Random
}

const SINCE = 'millrace.dev/since'

export class KeptCertificates {
  private readonly options: ClusterCertificatesOptions
  private dueMs = Number.NEGATIVE_INFINITY

  constructor(options: ClusterCertificatesOptions) {
    this.options = options
  }

  /** Made where they are missing, and renewed before they end. */
  async keep(): Promise<void> {
    const { objects, owner, clock, random } = this.options
    const nowMs = clock.nowMs()
    if (nowMs < this.dueMs) return
    const { authority, jobmanager, taskmanager } = certificateSecrets(owner.name)
    const current: ClusterCertificates = {
      authorities: authoritiesIn(await this.read(authority)),
      roles: { jobmanager: roleIn(await this.read(jobmanager)), taskmanager: roleIn(await this.read(taskmanager)) },
    }
    const { wanted, dueMs } = rotate(current, { name: `${owner.kind} ${owner.namespace}/${owner.name}`, random, nowMs })
    if (wanted.authorities !== current.authorities) await objects.apply(secretOf(owner, authority, 'Opaque', authorityData(wanted.authorities)))
    for (const [role, name] of [
      ['jobmanager', jobmanager],
      ['taskmanager', taskmanager],
    ] as const) {
      const certificate = wanted.roles[role]
      if (certificate !== undefined && certificate !== current.roles[role]) await objects.apply(roleSecret(owner, role, name, certificate))
    }
    this.dueMs = dueMs
  }

  /** Somebody may have removed one: the next look is at all of them. */
  forget(): void {
    this.dueMs = Number.NEGATIVE_INFINITY
  }

  private async read(name: string): Promise<KubeObject | undefined> {
    const { objects } = this.options
    const secret = await objects.find(secrets, name)
    if (secret !== undefined && !objects.isOurs(secret)) throw new FlinkError('EXTERNAL_SYSTEM', objects.foreignMessage(secret))
    return secret
  }
}

function authoritiesIn(secret: KubeObject | undefined): readonly KeyAndCertificate[] {
  const data = textsOf(secret)
  const numbers = Object.keys(data).flatMap(key => (/^\d+\.crt$/.test(key) ? Number.parseInt(key, 10) : []))
  return numbers
    .toSorted((a, b) => a - b)
    .map(number => ({ certificate: certificateAt(secret, data, `${number}.crt`), key: data[`${number}.key`] ?? '' }))
}

function authorityData(authorities: readonly KeyAndCertificate[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    authorities.flatMap(({ certificate, key }, n) => [
      [`${n}.crt`, certificate],
      [`${n}.key`, key],
    ]),
  )
}

function roleIn(secret: KubeObject | undefined): RoleCertificate | undefined {
  if (secret === undefined) return undefined
  const data = textsOf(secret)
  const sinceMs = Date.parse(secret.metadata.annotations?.[SINCE] ?? '')
  return {
    certificate: certificateAt(secret, data, 'tls.crt'),
    key: data['tls.key'] ?? '',
    trusted: data['ca.crt'] ?? '',
    // One that was edited by hand counts as old: nothing is waited for.
    sinceMs: Number.isNaN(sinceMs) ? 0 : sinceMs,
  }
}

function roleSecret(owner: ClusterOwner, role: ClusterRole, name: string, { certificate, key, trusted, sinceMs }: RoleCertificate): KubeObject {
  const data = { 'ca.crt': trusted, 'tls.crt': certificate, 'tls.key': key }
  const secret = secretOf(owner, name, 'kubernetes.io/tls', data)
  return { ...secret, metadata: metadataOf(owner, name, role, { [SINCE]: new Date(sinceMs).toISOString() }) }
}

function secretOf(owner: ClusterOwner, name: string, type: string, texts: Readonly<Record<string, string>>): KubeObject {
  const data = Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')]))
  return { apiVersion: 'v1', kind: 'Secret', metadata: metadataOf(owner, name), type, data }
}

function textsOf(secret: KubeObject | undefined): Readonly<Record<string, string>> {
  const data = (secret?.['data'] ?? {}) as Readonly<Record<string, string>>
  return Object.fromEntries(Object.entries(data).map(([key, base64]) => [key, Buffer.from(base64, 'base64').toString()]))
}

function certificateAt(secret: KubeObject | undefined, data: Readonly<Record<string, string>>, key: string): string {
  const text = data[key] ?? ''
  try {
    return new X509Certificate(text).toString()
  } catch (error) {
    const { namespace = '', name = '' } = secret?.metadata ?? {}
    const message = `Secret ${namespace}/${name} holds no certificate in ${key}: ${(error as Error).message}. Deleted, it is made anew`
    throw new FlinkError('EXTERNAL_SYSTEM', message, {}, error)
  }
}
