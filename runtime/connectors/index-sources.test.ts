import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConnectorHarness, operatorOf, RecordingEnumeratorContext } from '../../test/support/connector-harness.ts'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import type { JsonObject } from '../common/json.ts'
import type { OperatorDefinition } from '../graph/stream-graph.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import type { SourceDescription, SourceSplit } from '../stream/spi/source.ts'
import { builtInConnectorsOfEngine } from './built-in.ts'
import { splitSequence } from './enumerators.ts'
import { enumeratorRegistry } from './registry.ts'

const NONE = undefined

/** As it travels: the JobGraph is JSON. */
function travelled(definition: OperatorDefinition): OperatorDefinition {
  return { ...definition, options: JSON.parse(JSON.stringify(definition.options)) as JsonObject }
}

async function assign(definition: OperatorDefinition, parallelism: number): Promise<RecordingEnumeratorContext> {
  const description = JSON.parse(JSON.stringify(definition.source)) as SourceDescription
  const context = new RecordingEnumeratorContext(parallelism)
  const enumerator = enumeratorRegistry[description.enumerator]?.(description.options, context, undefined)
  for (let i = 0; i < parallelism; i++) enumerator?.addReader(i)
  await enumerator?.start()
  expect(context.ended.size).toBe(parallelism)
  return context
}

async function readAll(definition: OperatorDefinition, parallelism: number): Promise<unknown[][]> {
  const { assigned } = await assign(definition, parallelism)
  return Promise.all(
    assigned.map(async (splits, subtaskIndex) => {
      const harness = await new ConnectorHarness(operatorOf(travelled(definition)), { parallelism, subtaskIndex }).open(splits)
      await harness.run()
      await harness.close()
      return harness.values()
    }),
  )
}

describe('collection', () => {
  test('values travel in the options by their declared type and come back the same, in order', async () => {
    const type = Types.tuple(Types.STRING, Types.LONG, Types.DOUBLE) as TypeInformation
    const values = [
      ['a', 2n ** 62n, -0.5],
      ['ü\n', -1n, 3],
    ]
    expect(await readAll(builtInConnectorsOfEngine.collection(values, type, NONE), 1)).toEqual([values])
    expect(await readAll(builtInConnectorsOfEngine.collection([], Types.STRING as TypeInformation, NONE), 1)).toEqual([[]])
  })

  test('each row is read by one subtask, whatever the parallelism', async () => {
    expect((await readAll(builtInConnectorsOfEngine.collection([1, { a: 2 }, 'x'], Types.GENERIC, NONE), 3)).flat()).toEqual([1, { a: 2 }, 'x'])
  })

  test('a value that does not fit its type is refused with its place', () => {
    expect(() => builtInConnectorsOfEngine.collection(['a', 1], Types.STRING as TypeInformation, NONE)).toThrow(/element 1 of a collection source/)
  })

  test('two readings of one definition share nothing', async () => {
    const definition = builtInConnectorsOfEngine.collection([{ n: 1 }], Types.GENERIC, NONE)
    const [first, second] = [await readAll(definition, 1), await readAll(definition, 1)]
    expect(first).toEqual(second)
    expect(first[0]?.[0]).not.toBe(second[0]?.[0])
  })
})

describe('sequence', () => {
  test('is cut into contiguous parts that cover it exactly', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -50n, max: 50n }), fc.bigInt({ min: -50n, max: 80n }), fc.integer({ min: 1, max: 9 }), (from, to, parallelism) => {
        const parts = splitSequence(from, to, parallelism)
        const numbers = parts.flat().flatMap(split => {
          const part: bigint[] = []
          for (let i = BigInt(split.next); i <= BigInt(split.to); i++) part.push(i)
          return part
        })
        const expected: bigint[] = []
        for (let i = from; i <= to; i++) expected.push(i)
        expect(numbers).toEqual(expected)
        const sizes = parts.map(part => part.reduce((sum, split) => sum + Number(BigInt(split.to) - BigInt(split.next)) + 1, 0))
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('rows are numbers for SAFE_LONG and bigints for LONG', async () => {
    expect(await readAll(builtInConnectorsOfEngine.sequence('1', '5', Types.SAFE_LONG as TypeInformation, NONE), 2)).toEqual([
      [1, 2, 3],
      [4, 5],
    ])
    expect(
      await readAll(builtInConnectorsOfEngine.sequence('9223372036854775806', '9223372036854775807', Types.LONG as TypeInformation, NONE), 1),
    ).toEqual([[9223372036854775806n, 9223372036854775807n]])
  })
})

describe('datagen', () => {
  const datagen = (count: number | undefined, rowsPerSecond?: number, generator: (index: number) => unknown = index => index) =>
    builtInConnectorsOfEngine.datagen(generator, { count, rowsPerSecond }, Types.GENERIC, NONE)

  test('generates each index once over all subtasks', async () => {
    const parts = await readAll(datagen(10), 3)
    expect((parts.flat() as number[]).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(parts[1]).toEqual([1, 4, 7])
  })

  test('keeps its rate over all subtasks on the clock of the task, and makes up for at most a second', async () => {
    const clock = new SimulatedClock()
    const definition = datagen(undefined, 100)
    const { assigned } = await assign(definition, 2)
    const harness = await new ConnectorHarness(operatorOf(travelled(definition)), { parallelism: 2, clock }).open(assigned[0])
    expect(harness.poll()).toBe('nothing')
    expect(harness.rows.length).toBe(1)
    clock.advanceBy(1_000)
    harness.poll()
    expect(harness.rows.length).toBe(51)
    clock.advanceBy(60_000)
    harness.poll()
    expect(harness.rows.length).toBe(101)
    await harness.close()
    expect(clock.pendingCount).toBe(0)
  })

  test('two splits without end, as a restore at a lower parallelism gives them, both go on', async () => {
    const definition = datagen(undefined)
    const { assigned } = await assign(definition, 2)
    const harness = await new ConnectorHarness(operatorOf(travelled(definition))).open(assigned.flat())
    for (let poll = 1; poll <= 4; poll++) {
      harness.rowsPerPoll = 2
      harness.poll()
    }
    await harness.close()
    expect((harness.values() as number[]).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  test('what the generator throws is named, with the index', async () => {
    const definition = datagen(3, undefined, index => {
      if (index === 2) throw new Error('no such row')
      return index
    })
    const { assigned } = await assign(definition, 1)
    const harness = await new ConnectorHarness(operatorOf(travelled(definition))).open(assigned[0])
    await expect(harness.run()).rejects.toMatchObject({ code: 'USER_FUNCTION', message: expect.stringContaining('no such row') })
    await harness.close()
  })

  test('restored after every row it goes on with the next index', async () => {
    const definition = datagen(5)
    let splits: readonly SourceSplit[] = (await assign(definition, 1)).assigned[0] ?? []
    const seen: unknown[] = []
    for (let i = 0; i < 6; i++) {
      const harness = await new ConnectorHarness(operatorOf(definition)).open(splits)
      harness.rowsPerPoll = 1
      harness.poll()
      seen.push(...harness.values())
      const restored = new ConnectorHarness(operatorOf(definition))
      restored.operator.restore?.(harness.snapshot())
      await restored.open()
      const rest: unknown[] = []
      restored.rowsPerPoll = 1
      restored.poll()
      rest.push(...restored.values())
      expect(rest).toEqual(i < 4 ? [i + 1] : [])
      splits = [{ splitId: 'indices-0', next: i + 1, step: 1, count: 5 }]
    }
    expect(seen).toEqual([0, 1, 2, 3, 4])
  })
})

describe('definitions', () => {
  test('say whether they end, and are pure data apart from the factory', () => {
    const definitions = [
      builtInConnectorsOfEngine.textFile('/x', { loop: true, linesPerSecond: 5_000 }, NONE),
      builtInConnectorsOfEngine.textFile('/x', { loop: false, linesPerSecond: undefined }, NONE),
      builtInConnectorsOfEngine.socket({ host: 'h', port: 1, delimiter: '\n', retriesMax: 0 }, NONE),
      builtInConnectorsOfEngine.print({ id: 'x', toStderr: false }, Types.GENERIC),
    ]
    for (const { options, source } of definitions)
      expect(JSON.parse(JSON.stringify({ options, source: source ?? null }))).toEqual({ options, source: source ?? null })
    expect(definitions.map(({ source }) => source?.['bounded'])).toEqual([false, true, false, undefined])
    for (const { source } of definitions) if (source !== undefined) expect(Object.keys(enumeratorRegistry)).toContain(source['enumerator'])
  })

  test("users' functions are in them, for the hash of the graph", () => {
    const sink = builtInConnectorsOfEngine.functionSink({ invoke: (value: never) => console.log('marker', value) }, { inFlightMax: 8 }, Types.GENERIC)
    expect(sink.functions).toEqual([{ role: 'invoke', source: expect.stringContaining('marker') }])
    expect(sink.options).toEqual({ inFlightMax: 8 })
  })
})
