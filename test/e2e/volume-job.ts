import { openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { ParameterTool, type RuntimeContext, type StreamExecutionEnvironment } from 'millrace'

/**
 * `--count` numbers through a HASH, a REBALANCE and a BROADCAST edge (`--edge`: one of them alone). Each receiver keeps one bit per number
 * and leaves `<edge>-<subtask>.bits` with a `.json` beside it: what was lost or doubled shows there, number by number.
 */
export default (env: StreamExecutionEnvironment, args: string[]) => {
  const parameters = ParameterTool.fromArgs(args)
  const count = Number(parameters.getRequired('count'))
  const folder = parameters.getRequired('folder')
  const edge = parameters.get('edge')
  const numbers = env.fromSequence(0, count - 1)
  if (edge === undefined || edge === 'hash')
    numbers
      .keyBy(value => value)
      .addSink(receiver('hash', count, folder))
      .name('hash')
  if (edge === undefined || edge === 'rebalance')
    numbers
      .rebalance()
      .addSink(receiver('rebalance', count, folder))
      .name('rebalance')
  if (edge === undefined || edge === 'broadcast')
    numbers
      .broadcast()
      .addSink(receiver('broadcast', count, folder))
      .name('broadcast')
}

function receiver(edge: string, count: number, folder: string) {
  let subtask = -1
  let received = 0
  let doubled = 0
  let bits = new Uint8Array(0)
  return {
    open(context: RuntimeContext) {
      subtask = context.getIndexOfThisSubtask()
      bits = new Uint8Array(Math.ceil(count / 8))
    },
    invoke(value: number) {
      const bit = 1 << (value & 7)
      const byte = bits[value >>> 3] ?? 0
      if ((byte & bit) !== 0) doubled++
      bits[value >>> 3] = byte | bit
      received++
    },
    close() {
      writeFileSync(join(folder, `${edge}-${subtask}.bits`), bits)
      writeFileSync(join(folder, `${edge}-${subtask}.json`), JSON.stringify({ received, doubled }))
    },
  }
}

/**
 * Rows of about `--size` bytes to a sink that takes `--delay-us` for each and says what CPU time its thread took. Sources and sinks count in one file that all of them see
 * (8 bytes per subtask, sources first), so that each sink knows at each row how far the sources are ahead of all sinks.
 */
export const slow = (env: StreamExecutionEnvironment, args: string[]) => {
  const parameters = ParameterTool.fromArgs(args)
  const payload = 'x'.repeat(Number(parameters.getRequired('size')))
  const delayMs = Number(parameters.getRequired('delay-us')) / 1_000
  const folder = parameters.getRequired('folder')
  env
    .fromSequence(1, Number(parameters.getRequired('count')))
    .map(counting(folder, payload))
    .name('rows')
    .rebalance()
    .addSink(measuring(folder, delayMs))
    .name('sink')
}

function counting(folder: string, payload: string) {
  const own = new Float64Array(1)
  let file = -1
  let at = 0
  return {
    open(context: RuntimeContext) {
      file = openSync(join(folder, 'progress'), 'r+')
      at = 8 * context.getIndexOfThisSubtask()
    },
    map(value: number): string {
      own[0] = (own[0] ?? 0) + 1
      writeSync(file, own, 0, 8, at)
      return payload + value
    },
  }
}

function measuring(folder: string, delayMs: number) {
  const own = new Float64Array(1)
  let file = -1
  let at = 0
  let subtask = 0
  let all = new Float64Array(0)
  let received = 0
  let aheadMax = 0
  let startUs = 0
  return {
    open(context: RuntimeContext) {
      file = openSync(join(folder, 'progress'), 'r+')
      const parallelism = context.getNumberOfParallelSubtasks()
      subtask = context.getIndexOfThisSubtask()
      at = 8 * (parallelism + subtask)
      all = new Float64Array(2 * parallelism)
    },
    invoke() {
      if (received++ === 0) startUs = threadCpuUs()
      own[0] = received
      writeSync(file, own, 0, 8, at)
      // Sources before sinks: what happens in between makes the difference smaller, never larger, than it was.
      const half = all.byteLength / 2
      readSync(file, all, 0, half, 0)
      readSync(file, all, half, half, half)
      let ahead = 0
      for (let i = 0; i < all.length; i++) ahead += i < all.length / 2 ? (all[i] ?? 0) : -(all[i] ?? 0)
      aheadMax = Math.max(aheadMax, ahead)
      if (delayMs > 0) for (const end = performance.now() + delayMs; performance.now() < end; );
    },
    close() {
      writeFileSync(join(folder, `sink-${subtask}.json`), JSON.stringify({ received, aheadMax, cpuUs: threadCpuUs() - startUs }))
    },
  }
}

function threadCpuUs(): number {
  const { user, system } = process.threadCpuUsage()
  return user + system
}

/** Goes on until it is cancelled, both subtasks of it sending to both of the next. */
export const endless = (env: StreamExecutionEnvironment) => {
  env
    .fromSequence(0, Number.MAX_SAFE_INTEGER)
    .keyBy(value => value)
    .addSink(() => {})
}

/** Fails in the middle of its rows. */
export const failing = (env: StreamExecutionEnvironment) => {
  env
    .fromSequence(0, Number.MAX_SAFE_INTEGER)
    .rebalance()
    .map(value => {
      if (value === 100_000) throw new Error('row 100000 is refused')
      return value
    })
    .keyBy(value => value)
    .addSink(() => {})
}

export const short = (env: StreamExecutionEnvironment) => {
  env
    .fromSequence(0, 9_999)
    .keyBy(value => value)
    .addSink(() => {})
}
