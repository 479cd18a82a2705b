/**
 * What dictionary ids of a text are worth: `node bench/micro/dictionary.ts`. Frames of 2,048 rows with a text of some 20 bytes, few or many distinct
 * ones, with and without ids: looked up in a key table (alone, and beside an INT), and gathered for two channels. CPU time of this process.
 */
import { systemClock } from '../../runtime/common/clock.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import type { BytesColumn, Column } from '../../runtime/network/columns.ts'
import { BytesColumnBuilder } from '../../runtime/network/columns-builder.ts'
import { frameOf } from '../../runtime/network/columns-rows.ts'
import { columnLayout } from '../../runtime/serde/columns-type.ts'
import { KeyTable } from '../../runtime/table/runtime/key-table.ts'

const ROWS = 2048
const MIN_MS = 400
const random = seededRandom(1)

function measure(name: string, round: () => void): void {
  const run = (minMs: number) => {
    const startMs = systemClock.monotonicMs()
    const before = process.cpuUsage()
    let rows = 0
    while (systemClock.monotonicMs() - startMs < minMs) {
      round()
      rows += ROWS
    }
    const { user, system } = process.cpuUsage(before)
    return ((user + system) * 1e3) / rows
  }
  run(MIN_MS)
  process.stdout.write(
    `${name.padEnd(60)} ${run(2 * MIN_MS)
      .toFixed(1)
      .padStart(6)} ns/row\n`,
  )
}

const all = Int32Array.from({ length: ROWS }, (_, i) => i)
const out = new Int32Array(ROWS)
for (const distinct of [16, 1000]) {
  const numbers = Array.from({ length: ROWS }, () => random.nextInt(distinct))
  const texts = frameOf(
    numbers.map(number => [`a channel called ${number}`]),
    [columnLayout('STRING')],
  ).columns[0] as BytesColumn
  const ints: Column = { kind: 'i32', values: Int32Array.from(all, () => random.nextInt(50)), validity: undefined }
  for (const ids of [undefined, Int32Array.from(numbers)]) {
    const column = { ...texts, ids }
    const what = `${distinct} texts ${ids === undefined ? 'without' : 'with'} ids`
    const alone = new KeyTable(['bytes'], 1)
    measure(`${what}: key table, text alone`, () => alone.lookup([column], all, 0, ROWS, out))
    const both = new KeyTable(['bytes', 'i32'], 1)
    measure(`${what}: key table, text and INT`, () => both.lookup([column, ints], all, 0, ROWS, out))
    const builders = [new BytesColumnBuilder(), new BytesColumnBuilder()]
    measure(`${what}: gathered for two channels`, () => {
      for (const [i, builder] of builders.entries()) {
        builder.gather(column, all, (i * ROWS) / 2, ((i + 1) * ROWS) / 2)
        builder.recycle(builder.finish())
      }
    })
  }
}
