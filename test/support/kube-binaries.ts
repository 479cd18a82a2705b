import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Kubernetes' own programs and helm, which test/parts/install-{kubernetes,helm}.sh build, and what all who start them need. */
const VERSION = '1.34.2'
const HELM_VERSION = '3.22.0'

export function cacheFolder(name: string): string {
  return join(process.env['MILLRACE_CACHE'] ?? join(homedir(), '.cache', 'millrace'), name)
}

export function kubeBinary(name: string): string {
  const path = join(cacheFolder(`kubernetes-${VERSION}`), name)
  if (!existsSync(path)) throw new Error(`no ${path}: run test/parts/install-kubernetes.sh`)
  return path
}

export function helmBinary(): string {
  return join(cacheFolder(`helm-${HELM_VERSION}`), 'helm')
}

export function flags(options: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(options).map(([name, value]) => `--${name}=${value}`)
}

/** The key of service accounts as accounts.key and accounts.pub. */
export function writeAccountKeys(folder: string): void {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  writeFileSync(join(folder, 'accounts.key'), privateKey)
  writeFileSync(join(folder, 'accounts.pub'), publicKey)
}

/** Answers what it prints; rejects with what it complains of. */
export async function runKubectl(args: readonly string[], input: string, home: string): Promise<string> {
  const run = promisify(execFile)(kubeBinary('kubectl'), args, { env: { HOME: home }, maxBuffer: 64 * 2 ** 20 })
  run.child.stdin?.end(input)
  return (await run).stdout
}
