import type { Clock } from '../../common/clock.ts'
import type { Configuration } from '../../common/config.ts'
import { FlinkError } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { Random } from '../../common/random.ts'
import { fileStoreAt, openFileStore } from './file-store.ts'
import type { ObjectStore } from './object-store.ts'
import { s3SettingsOf } from './s3-options.ts'

/** How whoever needs a store gets it; simulations hand out their own. */
export type StoreOpener = (uri: string, configuration: Configuration, settingName: string, access?: StoreAccess) => Promise<ObjectStore>

/** `read`: nothing is made or tried out, so that it need not be writable. */
export type StoreAccess = 'write' | 'read'

/**
 * From a URI, as it stands in the configuration or on the command line, to a store that has been tried out: `s3://bucket/prefix`, `file:///folder`,
 * or just `/folder`. `settingName` is the key that the URI comes from; every error names it.
 */
export async function openStore(
  uri: string,
  configuration: Configuration,
  parts: { readonly clock: Clock; readonly random: Random; readonly log: Logger; readonly settingName?: string; readonly access?: StoreAccess },
): Promise<ObjectStore> {
  const { clock, random, log, settingName, access = 'write' } = parts
  try {
    const place = parseStoreUri(uri)
    if (place.scheme === 'file') return access === 'read' ? fileStoreAt(place.path, random) : await openFileStore(place.path, random, clock.nowMs())
    const settings = s3SettingsOf(configuration)
    // The client takes a tenth of a second and 37 MB: only where it is used.
    const { openS3Store, probedS3Store } = await import('./s3-store.ts')
    const options = { bucket: place.bucket, prefix: place.prefix, settings, clock, log }
    return access === 'read' ? await openS3Store(options) : await probedS3Store(options, random)
  } catch (error) {
    if (!(error instanceof FlinkError) || settingName === undefined) throw error
    const code = error.code === 'INVALID_ARGUMENT' ? 'INVALID_CONFIGURATION' : error.code
    throw new FlinkError(code, `option ${settingName}: ${error.message}`, { ...error.detail, key: settingName }, error)
  }
}

type Place =
  | { readonly scheme: 'file' /** Absolute. */; readonly path: string }
  | { readonly scheme: 's3'; readonly bucket: string /** Without slashes around it. */; readonly prefix: string }

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/

/** INVALID_ARGUMENT says what is wrong with it. Nothing is resolved: a path that would lead out of where it seems to point is refused. */
function parseStoreUri(uri: string): Place {
  const wrong = (why: string) => new FlinkError('INVALID_ARGUMENT', `${JSON.stringify(uri)} is no place for objects: ${why}`)
  if (uri.startsWith('/')) return { scheme: 'file', path: rootOf(uri, wrong) }
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(uri)?.[1]?.toLowerCase()
  if (scheme === undefined) throw wrong('expected an absolute path, or a URI that begins with file:// or s3://')
  if (scheme === 's3') {
    const [, bucket = '', path = ''] = /^s3:\/\/([^/]*)(.*)$/is.exec(uri) ?? []
    if (!BUCKET.test(bucket)) throw wrong('expected s3://, the name of a bucket (3 to 63 of a-z, 0-9, "." and "-"), and a path')
    return { scheme: 's3', bucket, prefix: namesOf(path, wrong).join('/') }
  }
  if (scheme !== 'file') throw wrong(`there is no store for ${scheme}://, only for file:// and s3://`)
  const match = /^file:(?:\/\/([^/]*))?(\/.*)$/is.exec(uri)
  if (match === null) throw wrong('expected file:/// and an absolute path')
  const [, host = '', path = ''] = match
  if (host !== '' && host !== 'localhost') throw wrong(`"${host}" stands where a host does, expected three slashes: file:///${host}${path}`)
  return { scheme: 'file', path: rootOf(decoded(path, wrong), wrong) }
}

function decoded(path: string, wrong: (why: string) => FlinkError): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw wrong('a "%" is not followed by two hexadecimal digits of UTF-8')
  }
}

function rootOf(path: string, wrong: (why: string) => FlinkError): string {
  const names = namesOf(path, wrong)
  if (names.length === 0) throw wrong('the root folder cannot be used')
  return `/${names.join('/')}`
}

/** Slashes that are too many go, as in Flink's Path. */
function namesOf(path: string, wrong: (why: string) => FlinkError): readonly string[] {
  const names = path.split('/').filter(name => name !== '')
  if (names.some(name => name === '.' || name === '..')) throw wrong('"." and ".." are not allowed')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (/[\0-\x1f\x7f]/.test(path)) throw wrong('it has control characters')
  return names
}
