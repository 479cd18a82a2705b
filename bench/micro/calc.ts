import { systemClock } from '../../runtime/common/clock.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import type { ColumnarFrame } from '../../runtime/network/columns.ts'
import { compileCalc, interpretCalc } from '../../runtime/table/functions/compile-calc.ts'
import { buildColumn } from '../../runtime/table/functions/frame-values.ts'
import { resolveCall } from '../../runtime/table/functions/resolve-call.ts'
import { parseValueType } from '../../runtime/table/functions/value-type.ts'
import type { Expression } from '../../runtime/table/plan/expression.ts'

/** ns per input row of filter and projection over a frame of 5 columns, generated and interpreted. `node bench/micro/calc.ts`. */
const schema = ['BIGINT NOT NULL', 'BIGINT NOT NULL', 'DOUBLE NOT NULL', 'STRING NOT NULL', 'TIMESTAMP(3) NOT NULL']
const rows = 2048
const random = seededRandom(1)
const make = <T>(value: (row: number) => T): T[] => Array.from({ length: rows }, (_, row) => value(row))
const frame: ColumnarFrame = {
  kind: 'columnar',
  length: rows,
  columns: [
    make(() => BigInt(random.nextInt(10_000))),
    make(() => BigInt(random.nextInt(10_000))),
    make(() => random.next() * 1000),
    make(() => `https://www.nexmark.com/${random.nextInt(1000)}/item/${random.nextInt(1000)}.htm`),
    make(row => row * 10),
  ].map((values, i) => buildColumn(parseValueType(schema[i] ?? ''), values)),
  timestamps: undefined,
  rowKinds: undefined,
}
const column = (index: number): Expression => ({ kind: 'column', index, type: schema[index] ?? '' })
const literal = (value: string | number, type: string): Expression => ({ kind: 'literal', value, type: `${type} NOT NULL` })
const call = (name: string, ...args: Expression[]) => resolveCall(name, args, '1:1') as Expression
const split = (part: number) => call('SPLIT_INDEX', column(3), literal('/', 'CHAR(1)'), literal(part, 'INT'))
const all = schema.map((_, i) => column(i))

const cases: Record<string, readonly [Expression | null, Expression[]]> = {
  'q0: five columns as they are': [null, all],
  'q1: price * 0.908 as double': [null, [...all.slice(0, 2), call('*', column(2), literal(0.908, 'DOUBLE')), ...all.slice(3)]],
  'q2: MOD(auction, 123) = 0, two columns': [
    call('=', call('MOD', column(0), literal('123', 'BIGINT')), literal('0', 'BIGINT')),
    [column(0), column(2)],
  ],
  'half of the rows, five columns': [call('>', column(2), literal(500, 'DOUBLE')), all],
  'q22: three parts of a url': [null, [...all.slice(0, 3), split(3), split(4), split(5)]],
  'two numbers computed, half of the rows': [
    call('>', column(2), literal(500, 'DOUBLE')),
    [call('+', column(0), column(1)), call('*', column(2), literal(2, 'DOUBLE'))],
  ],
}

for (const [name, [condition, projections]] of Object.entries(cases)) {
  const figures = [compileCalc, interpretCalc].map(compile => {
    const calc = compile(schema, condition, projections, { origin: { job: 'bench', vertex: 'calc' }, timeZone: 'UTC', clock: systemClock })
    const times: number[] = []
    for (let round = 0; round < 7; round++) {
      const start = systemClock.monotonicMs()
      let frames = 0
      while (systemClock.monotonicMs() - start < 150) {
        for (let i = 0; i < 8; i++) calc.run(frame)
        frames += 8
      }
      times.push(((systemClock.monotonicMs() - start) * 1e6) / (frames * rows))
    }
    return (times.toSorted((a, b) => a - b)[1] ?? 0).toFixed(1)
  })
  console.log(`${name.padEnd(45)} generated ${figures[0]} ns/row, interpreted ${figures[1]} ns/row`)
}
