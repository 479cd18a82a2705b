import { openStore, type StoreOpener } from '../runtime/checkpoint/storage/open-store.ts'
import { systemClock } from '../runtime/common/clock.ts'
import type { Configuration } from '../runtime/common/config.ts'
import type { Logger } from '../runtime/common/log.ts'
import { systemRandom } from '../runtime/common/random.ts'

/** Of a process. What a job says wins over the process; but secrets never stand in a job's graph, so the keys of stores are the process's. */
export function storeOpener(own: Configuration, log: Logger): StoreOpener {
  return (uri, configuration, settingName, access = 'write') =>
    openStore(uri, own.with(configuration.toObject(), 'client'), { clock: systemClock, random: systemRandom, log, settingName, access })
}
