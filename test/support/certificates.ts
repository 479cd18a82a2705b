import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuthority, issueCertificate, type KeyAndCertificate } from '../../operator/effects/certificates.ts'
import { systemClock } from '../../runtime/common/clock.ts'
import type { ClusterRole } from '../../runtime/common/cluster-sockets.ts'
import { systemRandom } from '../../runtime/common/random.ts'

/** Folders of certificates as a kubelet mounts a Secret: files are links into a folder that is swapped as a whole. */
const HOUR_MS = 3_600_000

export function testAuthority(name = 'test'): KeyAndCertificate {
  return createAuthority(name, { random: systemRandom, nowMs: systemClock.nowMs(), validMs: HOUR_MS })
}

export class CertificateFolders implements Disposable {
  private readonly root = mkdtempSync(join(tmpdir(), 'millrace-certificates-'))
  private count = 0

  /** `trusted`: the authorities in ca.crt; default: the one that issues. `ageMs`: how long ago it was issued, for an hour. */
  create(
    authority: KeyAndCertificate,
    roles: readonly ClusterRole[],
    options: { readonly trusted?: readonly KeyAndCertificate[]; readonly ageMs?: number } = {},
  ): string {
    const folder = join(this.root, String(++this.count))
    mkdirSync(folder)
    for (const name of ['ca.crt', 'tls.crt', 'tls.key']) symlinkSync(join('..data', name), join(folder, name))
    this.replace(folder, authority, roles, options)
    return folder
  }

  replace(
    folder: string,
    authority: KeyAndCertificate,
    roles: readonly ClusterRole[],
    options: { readonly trusted?: readonly KeyAndCertificate[]; readonly ageMs?: number } = {},
  ): void {
    const { trusted = [authority], ageMs = 0 } = options
    const { certificate, key } = issueCertificate(authority, roles, { random: systemRandom, nowMs: systemClock.nowMs() - ageMs, validMs: HOUR_MS })
    const version = `..${++this.count}`
    mkdirSync(join(folder, version))
    writeFileSync(join(folder, version, 'ca.crt'), trusted.map(each => each.certificate).join('\n'))
    writeFileSync(join(folder, version, 'tls.crt'), certificate)
    writeFileSync(join(folder, version, 'tls.key'), key, { mode: 0o600 })
    symlinkSync(version, join(folder, '..new'))
    renameSync(join(folder, '..new'), join(folder, '..data'))
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}
