import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'

/**
 * One pass of a controller, which has to end by a deadline. One that does not is abandoned: `run` rejects, and everything `fenced` that it calls from then on throws, however
 * late it goes on. So an abandoned pass neither reads nor writes, and another one may be made of the same object.
 *
 * A call that is under way at that moment may still be carried out. That is as harmless as an answer that was lost: a status is written with the resourceVersion that was read,
 * and an action names what shall be there by an intent that the status has already.
 */
interface Pass {
  isAbandoned: boolean
}

const passes = new AsyncLocalStorage<Pass>()

export async function runPass<T>(work: () => Promise<T>, { clock, deadlineMs }: { readonly clock: Clock; readonly deadlineMs: number }): Promise<T> {
  const pass: Pass = { isAbandoned: false }
  const late = Promise.withResolvers<never>()
  const deadline = clock.schedule(deadlineMs, () => {
    pass.isAbandoned = true
    late.reject(new FlinkError('TIMEOUT', `a pass did not end within ${deadlineMs} ms, and is abandoned`))
  })
  const working = passes.run(pass, work)
  // What comes of it later is nobody's.
  working.catch(() => {})
  try {
    return await Promise.race([working, late.promise])
  } finally {
    deadline.cancel()
  }
}

/** The same object, for passes: its methods throw when an abandoned one calls them. */
export function fenced<T extends object>(target: T): T {
  return new Proxy(target, {
    get(of, key) {
      const found: unknown = Reflect.get(of, key)
      if (typeof found !== 'function') return found
      return (...args: unknown[]) => {
        if (passes.getStore()?.isAbandoned === true) throw new FlinkError('TIMEOUT', `${String(key)} is asked for by a pass that was abandoned`)
        return Reflect.apply(found, of, args)
      }
    },
  })
}
