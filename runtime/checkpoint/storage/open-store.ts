import { isAbsolute } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Clock } from '../../common/clock.ts'
import type { Configuration } from '../../common/config.ts'
import { FlinkError } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { Random } from '../../common/random.ts'
import { openFileStore } from './file-store.ts'
import type { ObjectStore } from './object-store.ts'

/** How whoever needs a store gets it; simulations hand out their own. */
export type StoreOpener = (uri: string, configuration: Configuration, settingName: string) => Promise<ObjectStore>

/** The store at a URI of the configuration; `settingName` is the key that it stands under, for messages. */
export async function openStore(
  uri: string,
  _configuration: Configuration,
  parts: { readonly clock: Clock; readonly random: Random; readonly log: Logger; readonly settingName: string },
): Promise<ObjectStore> {
  const { clock, random, settingName } = parts
  const wrong = (why: string) => new FlinkError('INVALID_CONFIGURATION', `option ${settingName}: '${uri}' ${why}`)
  if (uri.split('/').includes('..')) throw wrong('leads out of itself by ".."')
  if (isAbsolute(uri)) return openFileStore(uri, random, clock.nowMs())
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(uri)?.[1]?.toLowerCase()
  if (scheme === undefined) throw wrong('is no absolute path and has no scheme; expected file:///folder')
  if (scheme !== 'file') throw wrong(`has the scheme ${scheme}, which is not supported; expected file:///folder`)
  let path: string
  try {
    path = fileURLToPath(uri)
  } catch (error) {
    throw wrong(`is no path on this machine: ${error instanceof Error ? error.message : String(error)}; expected file:///folder`)
  }
  return openFileStore(path, random, clock.nowMs())
}
