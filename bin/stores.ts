import type { StoreOpener } from '../runtime/checkpoint/storage/open-store.ts'
import { openStore } from '../runtime/checkpoint/storage/open-store.ts'
import { systemClock } from '../runtime/common/clock.ts'
import type { Logger } from '../runtime/common/log.ts'
import { systemRandom } from '../runtime/common/random.ts'

/** Of a process. */
export function storeOpener(log: Logger): StoreOpener {
  return (uri, configuration, settingName) => openStore(uri, configuration, { clock: systemClock, random: systemRandom, log, settingName })
}
