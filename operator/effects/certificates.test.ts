import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemRandom } from '../../runtime/common/random.ts'
import { createAuthority, expiryMs, issueCertificate } from './certificates.ts'

const nowMs = Date.UTC(2026, 5, 15, 12)
const HOUR_MS = 3_600_000
const issuing = { random: systemRandom, nowMs, validMs: 24 * HOUR_MS }

test('openssl takes a certificate for what it says: its authority, its roles, its time; another authority, or another time, not', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-certificates-'))
  try {
    const authority = createAuthority('job default/counts', issuing)
    const { certificate, key } = issueCertificate(authority, ['jobmanager', 'taskmanager'], issuing)
    const files = {
      'ca.crt': authority.certificate,
      'other.crt': createAuthority('job default/counts', issuing).certificate,
      'tls.crt': certificate,
      'tls.key': key,
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' })
    const at = (hours: number) => ['-attime', String(nowMs / 1000 + hours * 3600)]
    const verify = (...more: readonly string[]) => openssl('verify', '-x509_strict', '-purpose', 'sslserver', ...more, 'tls.crt')
    expect(verify('-CAfile', 'ca.crt', ...at(1), '-verify_hostname', 'taskmanager')).toContain('tls.crt: OK')
    expect(openssl('verify', '-purpose', 'sslclient', '-CAfile', 'ca.crt', ...at(1), 'tls.crt')).toContain('OK')
    expect(() => verify('-CAfile', 'other.crt', ...at(1))).toThrow(/certificate signature failure|unable to get local issuer/)
    expect(() => verify('-CAfile', 'ca.crt', ...at(25))).toThrow('certificate has expired')
    expect(() => verify('-CAfile', 'ca.crt', ...at(1), '-verify_hostname', 'localhost')).toThrow('hostname mismatch')
    expect(openssl('x509', '-in', 'tls.crt', '-noout', '-pubkey')).toBe(openssl('pkey', '-in', 'tls.key', '-pubout'))
    expect(openssl('x509', '-in', 'tls.crt', '-noout', '-ext', 'subjectAltName')).toContain('DNS:jobmanager, DNS:taskmanager')
    expect(expiryMs(certificate)).toBe(nowMs + 24 * HOUR_MS)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
