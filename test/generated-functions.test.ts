import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { DataStream, StreamExecutionEnvironment } from '../runtime/api/index.ts'
import { Types } from '../runtime/serde/types.ts'
import { runInProcess } from './support/in-process-job.ts'

/** Users' functions inside generated loops (runtime/stream/generated): what users see must be what the interpreter shows. */
const folder = mkdtempSync(join(tmpdir(), 'generated-functions-'))
afterAll(() => rmSync(folder, { recursive: true }))
const lines = join(folder, 'lines.txt')
writeFileSync(lines, Array.from({ length: 1000 }, (_, i) => `line ${i + 1} é\n`).join(''))

const pair = Types.tuple(Types.STRING, Types.INT)

const linesIn = (message = '') => [...message.matchAll(/lines\.txt, line (\d+)/g)].map(match => Number(match[1]))

describe('what a function throws', () => {
  test.each([true, false])('names the line of the file: generated %s', async generated => {
    const program = (env: StreamExecutionEnvironment) =>
      env
        .readTextFile(`file://${lines}`)
        .map(line => line.trim())
        .map(line => {
          if (line.startsWith('line 777 ')) throw new Error('no such line')
          return line
        })
        .name('second')
        .addSink(() => {})
    const { state, error } = await runInProcess(program, { generated, parallelism: 1 })
    expect(state).toBe('FAILED')
    expect(error?.message).toContain(`operator second: no such line (at file ${lines}, line 777)`)
  })

  test.each([true, false])('names the number of a sequence: generated %s', async generated => {
    const program = (env: StreamExecutionEnvironment) =>
      env
        .fromSequence(100, 5000)
        .flatMap<number>((value, out) => {
          out.collect(value)
          if (value === 4321) throw new Error('not this one')
        })
        .addSink(() => {})
    const { error } = await runInProcess(program, { generated, parallelism: 1 })
    expect(error?.message).toContain('not this one (at number 4321 of the sequence)')
  })

  test('names the record of a frame behind an exchange', async () => {
    const program = (env: StreamExecutionEnvironment) =>
      env
        .fromSequence(0, 99)
        .map<[string, number]>(value => ['one', value])
        .returns(pair)
        .name('pairs')
        .keyBy(0)
        .map(([, value]) => {
          if (value === 41) throw new Error('41')
          return value
        })
        .name('reader')
        .addSink(() => {})
    const { error } = await runInProcess(program, { parallelism: 1 })
    expect(error?.message).toMatch(/operator reader: 41 \(at record 42 of frame 1 from subtask 1 of pairs\)/)
  })

  test.each([true, false])('names the function, also behind a filter that let go of a row: generated %s', async generated => {
    const program = (env: StreamExecutionEnvironment) =>
      env
        .fromSequence(0, 9)
        .flatMap<number>((value, out) => {
          out.collect(value)
          if (value === 5) throw new Error('five')
        })
        .name('first')
        .filter(value => value % 2 === 0)
        .name('evens')
        .map(value => value)
        .name('last')
        .addSink(() => {})
    const { error } = await runInProcess(program, { generated, parallelism: 1 })
    expect(error?.message).toContain('operator first: five (at number 5 of the sequence)')
  })

  test('behind a frame that was made meanwhile, names the rows that it was made of', async () => {
    const program = (env: StreamExecutionEnvironment) => {
      const pairs = env
        .fromSequence(0, 99)
        .map<[string, number]>(value => ['one', value])
        .returns(pair)
      // Two readers: a loop each, fed by frames.
      pairs.map(([, value]) => value).addSink(() => {})
      pairs
        .map(([, value]) => {
          if (value === 41) throw new Error('41')
          return value
        })
        .name('reader')
        .addSink(() => {})
    }
    const { error } = await runInProcess(program, { parallelism: 1 })
    // Which rows were put together depends on when the loop gave way; the one that failed is among them.
    const range = /operator reader: 41 \(at number (\d+) of the sequence to number (\d+) of the sequence\)/.exec(error?.message ?? '')
    expect(Number(range?.[1])).toBeLessThanOrEqual(41)
    expect(Number(range?.[2])).toBeGreaterThanOrEqual(41)
  })
})

describe('where what was made of the input has waited', () => {
  test.each([false, true])('the place is right or left out, never wrong: a sink that blocks %s', async blocks => {
    const program = (env: StreamExecutionEnvironment) => {
      // Fewer rows and then more of them than the source's: a place counted in these frames is no line of the file.
      const made = env
        .readTextFile(`file://${lines}`)
        .filter(line => !/^line [1-9] /.test(line))
        .flatMap<[string, number]>((line, out) => {
          for (let i = 0; i < 3; i++) out.collect([line, i])
        })
        .returns(pair)
      made.map(([, i]) => i).addSink(() => {})
      made
        .map(([line]) => {
          if (line.startsWith('line 500 ')) throw new Error('no such line')
          return line
        })
        .name('reader')
        .addSink(blocks ? () => Promise.resolve() : () => {})
    }
    const { error } = await runInProcess(program, { parallelism: 1 })
    expect(error?.message).toMatch(/^operator reader: no such line( \(at |$)/)
    const [first, last = first] = linesIn(error?.message)
    if (first !== undefined) expect([first <= 500, Number(last) >= 500], error?.message).toEqual([true, true])
  })

  test('a key selector that throws names the rows of the frame', async () => {
    const program = (env: StreamExecutionEnvironment) =>
      env
        .readTextFile(`file://${lines}`)
        .keyBy(line => {
          if (line.startsWith('line 500 ')) throw new Error('no key')
          return line.length
        })
        .map(line => line)
        .addSink(() => {})
    const { error } = await runInProcess(program, { parallelism: 1 })
    expect(error?.message).toMatch(/no key/)
    const [first = 0, last = first] = linesIn(error?.message)
    expect([first <= 500, last >= 500], error?.message).toEqual([true, true])
  })

  test('a timer that throws names no record', async () => {
    const program = (env: StreamExecutionEnvironment) =>
      env
        .fromSequence(0, 9)
        .keyBy(value => value % 2)
        .process({
          processElement(_value, ctx) {
            ctx.timerService().registerEventTimeTimer(1)
          },
          onTimer() {
            throw new Error('too late')
          },
        })
        .name('timers')
        .addSink(() => {})
    const { error } = await runInProcess(program, { parallelism: 1 })
    expect(error?.message).toMatch(/^operator timers(, onTimer)?: too late$/)
  })
})

describe('rows', () => {
  test('are fresh: what one function does to them no other one sees', async () => {
    const seen: unknown[] = []
    const program = (env: StreamExecutionEnvironment) => {
      const pairs = env
        .fromSequence(0, 3)
        .map<[string, number]>(value => ['row', value])
        .returns(pair)
      const spoil = (row: [string, number]) => {
        row[0] = 'spoiled'
        return row
      }
      pairs.map(spoil).addSink(() => {})
      pairs.addSink(row => void seen.push(row))
    }
    await runInProcess(program, { parallelism: 1 })
    expect(seen).toEqual([0, 1, 2, 3].map(value => ['row', value]))
  })

  test.each([
    { title: 'a text for an INT', row: ['a', 'b'], message: 'output of operator liar: value[1] cannot be written as INT: it is a string' },
    { title: 'a fraction for an INT', row: ['a', 1.5], message: 'output of operator liar: value[1] cannot be written as INT: it is the number 1.5' },
    { title: 'a number for a STRING', row: [1, 1], message: 'output of operator liar: value[0] cannot be written as STRING' },
    { title: 'one field too few', row: ['a'], message: 'output of operator liar: value cannot be written as TUPLE of 2' },
    { title: 'an object for a tuple', row: { a: 1 }, message: 'output of operator liar: value cannot be written as TUPLE of 2' },
  ])('that are not of the declared type are refused: $title', async ({ row, message }) => {
    const program = (env: StreamExecutionEnvironment) =>
      env
        .fromSequence(0, 3)
        .map(() => row as never)
        .name('liar')
        .returns(pair)
        .keyBy(0)
        .sum(1)
        .addSink(() => {})
    const { error } = await runInProcess(program, { parallelism: 1 })
    expect(error?.message).toContain(message)
  })

  test('a larger whole number of an INT wraps as in Java, and nulls stay null', async () => {
    const seen: unknown[] = []
    const program = (env: StreamExecutionEnvironment) =>
      env
        .fromSequence(0, 1)
        .map<[string, number | null]>(value => ['a', value === 0 ? 2 ** 31 : null])
        .returns(pair as never)
        .keyBy(0)
        .map(row => row)
        .addSink(row => void seen.push(row))
    await runInProcess(program, { parallelism: 1 })
    expect(seen).toEqual([
      ['a', -(2 ** 31)],
      ['a', null],
    ])
  })

  test('a null key is refused by name', async () => {
    const program = (env: StreamExecutionEnvironment) =>
      env
        .fromSequence(0, 1)
        .map<[string | null, number]>(value => [null, value])
        .returns(pair as never)
        .keyBy(0 as never)
        .sum(1 as never)
        .name('sums')
        .addSink(() => {})
    for (const parallelism of [1, 2]) {
      const { error } = await runInProcess(program, { parallelism })
      expect(error?.message).toMatch(/key/)
      expect(error?.message).toMatch(/null/)
    }
  })
})

test('an asynchronous sink takes rows of frames in order, as many at once as it may', async () => {
  const seen: number[] = []
  let atOnce = 0
  let most = 0
  const program = (env: StreamExecutionEnvironment) =>
    env
      .fromSequence(0, 499)
      .map(value => value)
      .addSink(
        async value => {
          most = Math.max(most, ++atOnce)
          seen.push(value)
          await null
          atOnce--
        },
        { inFlightMax: 3 },
      )
  const { state } = await runInProcess(program, { parallelism: 1 })
  expect(state).toBe('FINISHED')
  expect(seen).toEqual(Array.from({ length: 500 }, (_, i) => i))
  expect(most).toBe(3)
})

test('the metrics say which way rows went', async () => {
  const program = (env: StreamExecutionEnvironment) =>
    env
      .fromSequence(0, 99)
      .filter(value => value % 2 === 0)
      .map<[string, number]>(value => [`${value % 5}`, 1])
      .returns(pair)
      .keyBy(0)
      .sum(1)
      .addSink(() => {})
  const paths = async (generated: boolean) => {
    const { metrics } = await runInProcess(program, { parallelism: 1, generated })
    return metrics
      .flatMap(({ operators }) => Object.values(operators))
      .map(({ numRecordsIn, numRecordsOut, rowsColumnar, rowsGenerated, rowsInterpreted }) => ({
        numRecordsIn,
        numRecordsOut,
        rowsColumnar,
        rowsGenerated,
        rowsInterpreted,
      }))
  }
  expect(await paths(true)).toEqual([
    { numRecordsIn: 0, numRecordsOut: 100, rowsColumnar: 100, rowsGenerated: undefined, rowsInterpreted: 0 },
    { numRecordsIn: 100, numRecordsOut: 50, rowsColumnar: 100, rowsGenerated: 100, rowsInterpreted: 0 },
    { numRecordsIn: 50, numRecordsOut: 50, rowsColumnar: 0, rowsGenerated: 50, rowsInterpreted: 0 },
    { numRecordsIn: 50, numRecordsOut: 50, rowsColumnar: 50, rowsGenerated: undefined, rowsInterpreted: 0 },
    { numRecordsIn: 50, numRecordsOut: 0, rowsColumnar: 50, rowsGenerated: 50, rowsInterpreted: 0 },
  ])
  expect((await paths(false)).slice(0, 3)).toEqual([
    { numRecordsIn: 0, numRecordsOut: 100, rowsColumnar: 0, rowsGenerated: undefined, rowsInterpreted: 100 },
    { numRecordsIn: 100, numRecordsOut: 50, rowsColumnar: 0, rowsGenerated: undefined, rowsInterpreted: 100 },
    { numRecordsIn: 50, numRecordsOut: 50, rowsColumnar: 0, rowsGenerated: undefined, rowsInterpreted: 50 },
  ])
})

test('rows are put into columns where everybody who reads them works columns, and go as they are where one does not', async () => {
  const pairsInColumns = async (read: (pairs: DataStream<[string, number]>) => void) => {
    const { metrics, error } = await runInProcess(
      env =>
        read(
          env
            .fromCollection([1, 2, 3])
            .rebalance()
            .map<[string, number]>(value => ['a', value])
            .returns(pair)
            .name('pairs'),
        ),
      { parallelism: 1 },
    )
    expect(error).toBeUndefined()
    const operators = metrics.flatMap(task => Object.values(task.operators))
    return {
      columnar: operators.reduce((sum, operator) => sum + operator['rowsColumnar']!, 0),
      converted: operators.reduce((sum, operator) => sum + operator['rowsConverted']!, 0),
    }
  }
  const typed = (pairs: DataStream<[string, number]>) =>
    void pairs
      .keyBy(0)
      .sum(1)
      .addSink(() => {})
  const rowByRow = (pairs: DataStream<[string, number]>) =>
    void pairs
      .keyBy(0)
      .process<number>((row, _context, out) => out.collect(row[1]))
      .addSink(() => {})
  // The sum, and the sink behind it.
  expect(await pairsInColumns(typed)).toEqual({ columnar: 6, converted: 0 })
  expect(await pairsInColumns(rowByRow)).toEqual({ columnar: 0, converted: 0 })
  // Two edges: each carries what its own reader wants only when all of them want columns.
  expect(
    await pairsInColumns(pairs => {
      typed(pairs)
      rowByRow(pairs)
    }),
  ).toEqual({ columnar: 6, converted: 3 })
})
