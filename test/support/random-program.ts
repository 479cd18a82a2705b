import type { DataStream, StreamExecutionEnvironment } from '../../runtime/api/index.ts'
import { type Random, seededRandom } from '../../runtime/common/random.ts'
import type { TypeInformation } from '../../runtime/serde/type-information.ts'
import { Types } from '../../runtime/serde/types.ts'

/**
 * A random program from one seed, and what it must output: an independent model over plain arrays. The multiset of outputs is
 * compared, because the order between inputs is free; keyed operators are commutative for the same reason.
 */
export interface RandomProgram {
  readonly parallelism: number
  /** Message of the function that throws, when the program has one. */
  readonly throws: string | undefined
  build(env: StreamExecutionEnvironment): void
  /** Sorted lines that the sinks print, prefixes removed. */
  expected(): string[]
}

type Stream = DataStream<number>

interface Pair {
  readonly stream: (env: StreamExecutionEnvironment, built: Stream[]) => Stream
  readonly model: (values: number[][]) => number[]
}

export function randomProgram(seed: number, sizes: { readonly rowsMax: number; readonly fanOutMax: number }): RandomProgram {
  const random = seededRandom(seed)
  const operatorCount = 1 + random.nextInt(8)
  const steps: Pair[] = []
  const rows = 1 + random.nextInt(sizes.rowsMax)
  steps.push(source(rows))
  let total = rows
  for (let i = 0; i < operatorCount; i++) {
    const { pair, factor } = randomStep(random, steps.length, total, sizes.fanOutMax)
    steps.push(pair)
    total *= factor
  }
  const throws = random.nextInt(8) === 0 ? `thrown by seed ${seed}` : undefined
  const throwAt = random.nextInt(rows)
  return {
    parallelism: 1 + random.nextInt(3),
    throws,
    build(env) {
      const built: Stream[] = []
      for (const step of steps) built.push(step.stream(env, built))
      const last = built.at(-1)
      if (throws !== undefined && last !== undefined) {
        // Row values grow along the way: the source's own value is where the failure is sure to be reached.
        const first = built[0]
        first
          ?.map((value: number) => {
            if (value === throwAt) throw new Error(throws)
            return value
          })
          .print('unused')
      }
      last?.print()
    },
    expected() {
      const values: number[][] = []
      for (const step of steps) values.push(step.model(values))
      return (values.at(-1) ?? []).map(String).sort()
    },
  }
}

function source(rows: number): Pair {
  return {
    // A sequence emits frames, a collection rows.
    stream: env => (rows % 2 === 0 ? env.fromSequence(0, rows - 1) : (env.fromCollection(Array.from({ length: rows }, (_, i) => i)) as Stream)),
    model: () => Array.from({ length: rows }, (_, i) => i),
  }
}

const MOD = 1009

function randomStep(random: Random, present: number, total: number, fanOutMax: number): { pair: Pair; factor: number } {
  const at = random.nextInt(present)
  const other = random.nextInt(present)
  const add = random.nextInt(50)
  // Outputs multiply along a chain; the whole stays small enough for thousands of runs.
  const fanOut = total > 2_000 ? 1 : random.nextInt(10) === 0 ? random.nextInt(fanOutMax + 1) : random.nextInt(4)
  const key = (value: number) => value % 7
  const pick = (built: Stream[], i: number): Stream => {
    const stream = built[i]
    if (stream === undefined) throw new Error('a step reads an earlier one')
    return stream
  }
  const declared = random.nextInt(2) === 0
  switch (random.nextInt(13)) {
    case 0:
      return {
        factor: 1,
        pair: {
          stream: (_, built) => {
            const mapped = pick(built, at).map((value: number) => (value + add) % MOD)
            return declared ? mapped.returns(Types.SAFE_LONG) : mapped
          },
          model: values => (values[at] ?? []).map(value => (value + add) % MOD),
        },
      }
    case 1:
      return {
        factor: 1,
        pair: {
          stream: (_, built) => pick(built, at).filter((value: number) => (value + add) % 3 !== 0),
          model: values => (values[at] ?? []).filter(value => (value + add) % 3 !== 0),
        },
      }
    case 2:
      return {
        factor: Math.max(1, fanOut),
        pair: {
          stream: (_, built) =>
            pick(built, at).flatMap((value: number, out: { collect(value: number): void }) => {
              for (let i = 0; i < fanOut; i++) out.collect((value + i) % MOD)
            }) as Stream,
          model: values => (values[at] ?? []).flatMap(value => Array.from({ length: fanOut }, (_, i) => (value + i) % MOD)),
        },
      }
    case 3:
      // A stream united with itself and with another one: every row of both, and twice for the doubled one.
      return {
        factor: 3,
        pair: {
          stream: (_, built) => pick(built, at).union(pick(built, at), pick(built, other)) as Stream,
          model: values => [...(values[at] ?? []), ...(values[at] ?? []), ...(values[other] ?? [])],
        },
      }
    case 4:
      return {
        factor: 2,
        pair: {
          stream: (_, built) =>
            pick(built, at)
              .connect(pick(built, other))
              .map(
                (value: number) => (value * 2) % MOD,
                (value: number) => (value * 3) % MOD,
              ) as Stream,
          model: values => [...(values[at] ?? []).map(value => (value * 2) % MOD), ...(values[other] ?? []).map(value => (value * 3) % MOD)],
        },
      }
    case 5:
      return {
        factor: 2,
        pair: {
          stream: (_, built) => {
            const split = pick(built, at).split((value: number) => (value % 2 === 0 ? ['even', 'all'] : ['all']))
            return split.select('even').union(split.select('all')) as Stream
          },
          model: values => [...(values[at] ?? []).filter(value => value % 2 === 0), ...(values[at] ?? [])],
        },
      }
    case 6:
      // Rolling count per key: the multiset of counts does not depend on the order of the rows.
      return {
        factor: 1,
        pair: {
          stream: (_, built) =>
            pick(built, at)
              .map((value: number) => [key(value), 1] as [number, number])
              .keyBy((pair: [number, number]) => pair[0])
              .reduce((a: [number, number], b: [number, number]) => [a[0], a[1] + b[1]] as [number, number])
              .map((pair: [number, number]) => (pair[0] * 100 + pair[1]) % MOD) as Stream,
          model: values => {
            const counts = new Map<number, number>()
            return (values[at] ?? []).map(value => {
              const count = (counts.get(key(value)) ?? 0) + 1
              counts.set(key(value), count)
              return (key(value) * 100 + count) % MOD
            })
          },
        },
      }
    case 10:
      return { factor: 1, pair: typedTuples(at, pick, random.nextInt(3)) }
    case 11:
      return { factor: 1, pair: typedRows(at, pick, random.nextInt(2) === 0) }
    case 12:
      return { factor: 1, pair: partlyRead(at, pick, random.nextInt(4), random.nextInt(2) === 0) }
    case 7:
      return {
        factor: 1,
        pair: {
          stream: (_, built) =>
            pick(built, at)
              .rebalance()
              .map((value: number) => value) as Stream,
          model: values => values[at] ?? [],
        },
      }
    case 8:
      return {
        factor: 1,
        pair: {
          stream: (_, built) =>
            pick(built, at)
              .shuffle()
              .map((value: number) => value)
              .disableChaining() as Stream,
          model: values => values[at] ?? [],
        },
      }
    default:
      return {
        factor: 1,
        pair: {
          stream: (_, built) =>
            pick(built, at)
              .global()
              .map((value: number) => value)
              .rescale()
              .map((value: number) => value)
              .startNewChain() as Stream,
          model: values => values[at] ?? [],
        },
      }
  }
}

type Pick = (built: Stream[], at: number) => Stream
type Five = [string, number, bigint, boolean, number | null]

/** Rolling sums of a constant, so that they do not depend on the order of rows: tuples of all kinds, keyed by a text, a number or both: typed tables, columns on rings, nulls in a field that nobody adds up. */
function typedTuples(at: number, pick: Pick, keyed: number): Pair {
  const type = Types.tuple(Types.STRING, Types.SAFE_LONG, Types.LONG, Types.BOOLEAN, Types.DOUBLE)
  const make = (value: number): Five => [
    `word ${'é'.repeat(value % 3)}${value % 5}`,
    value % 3,
    3n,
    value % 2 === 0,
    value % 4 === 0 ? null : value / 2,
  ]
  const keyOf = ([word, number]: Five) => (keyed === 0 ? word : keyed === 1 ? String(number) : `${word} ${number}`)
  return {
    stream: (_, built) => {
      const tuples = pick(built, at)
        .map(make)
        .returns(type)
        .filter(row => row[0] !== '')
        .rebalance()
        .map(row => row)
        .returns(type)
      const byKey = keyed === 0 ? tuples.keyBy(0) : keyed === 1 ? tuples.keyBy(row => row[1]) : tuples.keyBy(0, 1)
      return byKey.sum(2).map(row => Number(row[2]) % MOD) as Stream
    },
    model: values => {
      const sums = new Map<string, bigint>()
      return (values[at] ?? []).map(value => {
        const row = make(value)
        const sum = (sums.get(keyOf(row)) ?? 0n) + row[2]
        sums.set(keyOf(row), sum)
        return Number(sum) % MOD
      })
    },
  }
}

/** Tuples of which the functions behind exchanges read some fields: the others do not travel. */
function partlyRead(at: number, pick: Pick, way: number, filtered: boolean): Pair {
  const type = Types.tuple(Types.STRING, Types.SAFE_LONG, Types.LONG, Types.BOOLEAN, Types.DOUBLE)
  const make = (value: number): Five => [`${value}`, value, BigInt(value), value % 2 === 0, value % 4 === 0 ? null : value / 2]
  const dealt = (tuples: DataStream<Five>): DataStream<Five> =>
    way === 0 ? tuples.keyBy(0) : way === 1 ? tuples.keyBy(3, 1) : way === 2 ? tuples.keyBy(row => row[4] ?? row[1]) : tuples.rebalance()
  return {
    stream: (_, built) => {
      // The declared type knows nothing of nulls.
      const tuples = dealt(
        pick(built, at)
          .map(make)
          .returns(type as TypeInformation as TypeInformation<Five>),
      )
      const passed = filtered ? dealt(tuples.filter(row => row[3])) : tuples
      return (way === 3 ? passed.map(([text]) => Number(text)) : passed.map(row => Number(row[2]))) as Stream
    },
    model: values => (values[at] ?? []).filter(value => !filtered || value % 2 === 0),
  }
}

/** Running maxima of objects, one with a name that no identifier has. Of the multiset only the last value of each key is free of the order: all are that. */
function typedRows(at: number, pick: Pick, hostile: boolean): Pair {
  const name = hostile ? 'a "name" ${`*/`}\u2028' : 'name'
  const type = Types.row({ [name]: Types.INT, much: Types.INT })
  const make = (value: number) => ({ [name]: value % 4, much: 7 }) as never
  return {
    stream: (_, built) =>
      pick(built, at)
        .map(make)
        .returns(type as never)
        .keyBy(name as never)
        .max('much' as never)
        .map((row: Record<string, number>) => (row[name] ?? 0) * 10 + (row['much'] ?? 0)) as Stream,
    model: values => (values[at] ?? []).map(value => (value % 4) * 10 + 7),
  }
}
