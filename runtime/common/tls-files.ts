import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext, type SecureContext } from 'node:tls'
import { FlinkError } from './errors.ts'
import type { Logger } from './log.ts'

/** The files of a Secret of type kubernetes.io/tls, PEM, and what they are called in Node. */
const options = { 'ca.crt': 'ca', 'tls.crt': 'cert', 'tls.key': 'key' } as const
export type TlsFile = keyof typeof options

/**
 * A context of the files of a folder as they are now: certificates are rotated under a process that runs. While they cannot be read they are as they were. At the start they have to be there:
 * INVALID_CONFIGURATION says what is wrong.
 */
export function tlsContext(folder: string, files: readonly TlsFile[], log: Logger): () => SecureContext {
  let known: { readonly version: string; readonly context: SecureContext } | undefined
  const context = (): SecureContext => {
    try {
      const version = files.map(name => versionOf(join(folder, name))).join(' ')
      if (known?.version !== version) known = { version, context: createSecureContext(readTlsFiles(folder, files)) }
    } catch (error) {
      const unusable = new FlinkError(
        'INVALID_CONFIGURATION',
        `${folder} has no certificate that can be used: ${(error as Error).message}`,
        {},
        error,
      )
      if (known === undefined) throw unusable
      log.warn('new certificates cannot be used, the ones of before are', { reason: unusable.message })
    }
    return known.context
  }
  context()
  return context
}

export function readTlsFiles(folder: string, files: readonly TlsFile[]): Readonly<Partial<Record<(typeof options)[TlsFile], Buffer>>> {
  return Object.fromEntries(files.map(name => [options[name], readFileSync(join(folder, name))]))
}

/** Another one after each change, also where a folder is swapped by a link. */
function versionOf(path: string): string {
  const { ino, mtimeMs, size } = statSync(path)
  return `${ino} ${mtimeMs} ${size}`
}
