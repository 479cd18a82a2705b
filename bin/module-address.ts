import { createHash } from 'node:crypto'
import type { Configuration } from '../runtime/common/config.ts'
import { FlinkError } from '../runtime/common/errors.ts'
import { noLog } from '../runtime/common/log.ts'
import { storeOpener } from './stores.ts'

/**
 * A program by its address: one object of a store, with the keys of stores in the configuration. What lies under an address may be another text at any time; with a digest it is exactly one, or
 * nothing (decision 0044).
 */
const ADDRESS = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//
const OBJECT = /^(s3:\/\/[^/]+(?:\/.*)?)\/([^/]+\.(?:ts|mts|js|mjs|sql))$/
const SETTING = 'the address of the job module'

export function isAddress(path: string): boolean {
  return ADDRESS.test(path)
}

export async function fetchModule(
  uri: string,
  { moduleDigest, configuration }: { readonly moduleDigest?: string | undefined; readonly configuration: Configuration },
): Promise<string> {
  const [, folder, name] = OBJECT.exec(uri) ?? []
  if (folder === undefined || name === undefined)
    throw new FlinkError('INVALID_ARGUMENT', `job module ${uri}: expected s3://<bucket>/<path> of a .ts, .mts, .js, .mjs or .sql file`)
  const store = await storeOpener(configuration, noLog)(folder, configuration, SETTING, 'read')
  const bytes = await store.read(name)
  if (bytes === undefined) throw new FlinkError('NOT_FOUND', `job module ${uri} does not exist`, { path: uri })
  const found = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  if (moduleDigest !== undefined && found !== moduleDigest)
    throw new FlinkError('INVALID_PROGRAM', `job module ${uri} is not the one that was named: its digest is ${found}, expected ${moduleDigest}`)
  return Buffer.from(bytes).toString()
}
