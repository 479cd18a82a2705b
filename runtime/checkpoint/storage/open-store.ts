import type { Clock } from '../../common/clock.ts'
import type { Configuration } from '../../common/config.ts'
import { FlinkError } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { systemRandom } from '../../common/random.ts'
import { openFileStore } from './file-store.ts'
import type { ObjectStore } from './object-store.ts'

/**
 * From a URI, as it stands in the configuration or on the command line, to a store that has been tried out: `file:///folder`, or just `/folder`.
 * `settingName` is the key that the URI comes from; every error names it.
 */
export async function openStore(
  uri: string,
  _configuration: Configuration,
  parts: { readonly clock: Clock; readonly log: Logger; readonly settingName?: string },
): Promise<ObjectStore> {
  const { clock, settingName } = parts
  const where = settingName === undefined ? '' : `option ${settingName}: `
  try {
    const { path } = parseStoreUri(uri)
    return await openFileStore(path, systemRandom, clock.nowMs())
  } catch (error) {
    if (!(error instanceof FlinkError) || settingName === undefined) throw error
    const code = error.code === 'INVALID_ARGUMENT' ? 'INVALID_CONFIGURATION' : error.code
    throw new FlinkError(code, `${where}${error.message}`, { ...error.detail, key: settingName }, error)
  }
}

export interface StoreLocation {
  readonly scheme: 'file'
  /** Absolute. */
  readonly path: string
}

/** INVALID_ARGUMENT says what is wrong with it. Nothing is resolved: a path that would lead out of where it seems to point is refused. */
export function parseStoreUri(uri: string): StoreLocation {
  const wrong = (why: string) => new FlinkError('INVALID_ARGUMENT', `${JSON.stringify(uri)} is no place for objects: ${why}`)
  if (uri.startsWith('/')) return { scheme: 'file', path: checkedPath(uri, wrong) }
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(uri)?.[1]?.toLowerCase()
  if (scheme === undefined) throw wrong('expected an absolute path, or a URI that begins with file://')
  if (scheme !== 'file') throw wrong(`there is no store for ${scheme}://, only for file://`)
  const match = /^file:(?:\/\/([^/]*))?(\/.*)$/is.exec(uri)
  if (match === null) throw wrong('expected file:/// and an absolute path')
  const [, host = '', path = ''] = match
  if (host !== '' && host !== 'localhost') throw wrong(`"${host}" stands where a host does, expected three slashes: file:///${host}${path}`)
  return { scheme: 'file', path: checkedPath(decoded(path, wrong), wrong) }
}

function decoded(path: string, wrong: (why: string) => FlinkError): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw wrong('a "%" is not followed by two hexadecimal digits of UTF-8')
  }
}

/** Slashes that are too many go, as in Flink's Path. */
function checkedPath(path: string, wrong: (why: string) => FlinkError): string {
  const names = path.split('/').filter(name => name !== '')
  if (names.some(name => name === '.' || name === '..')) throw wrong('"." and ".." are not allowed')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (/[\0-\x1f\x7f]/.test(path)) throw wrong('it has control characters')
  if (names.length === 0) throw wrong('the root folder cannot be used')
  return `/${names.join('/')}`
}
