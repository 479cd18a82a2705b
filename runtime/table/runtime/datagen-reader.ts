import { parseDuration } from '../../common/config.ts'
import { FlinkError } from '../../common/errors.ts'
import type { StridedSplit } from '../../connectors/enumerators.ts'
import { RateLimiter } from '../../connectors/rate-limiter.ts'
import type { Column } from '../../network/columns.ts'
import { frameOf } from '../../network/columns-rows.ts'
import { type ColumnLayout, columnLayout } from '../../serde/columns-type.ts'
import type { SourceOutput, SourceReader, SourceReaderContext, SourceSplit } from '../../stream/spi/source.ts'
import type { ScanNode } from '../plan/physical.ts'

/**
 * Generated tables by Flink's options: `fields.x.kind` sequence (start, end) or random (min, max, length, null-rate), `rows-per-second`,
 * `number-of-rows`. Row i is a function of i: rows are dealt out to the subtasks one by one, and a restored or repeated run makes the same rows
 * (random values come from i and the column's name, not from chance).
 */
const SHORTEST_SEQUENCE = Number.POSITIVE_INFINITY

/** Rows in all; undefined = without end. The shortest sequence ends the table. */
export function datagenCount({ options, physical }: Pick<ScanNode, 'options' | 'physical'>): number | undefined {
  let count = options['number-of-rows'] === undefined ? SHORTEST_SEQUENCE : Number(options['number-of-rows'])
  for (const { name } of physical) {
    if (options[`fields.${name}.kind`] !== 'sequence') continue
    const [start, end] = ['start', 'end'].map(key => options[`fields.${name}.${key}`])
    if (start === undefined || end === undefined)
      throw new FlinkError('INVALID_CONFIGURATION', `options fields.${name}.start and fields.${name}.end are required for a sequence`)
    count = Math.min(count, Number(end) - Number(start) + 1)
  }
  return count === SHORTEST_SEQUENCE ? undefined : Math.max(0, count)
}

type Generate = (index: number) => unknown

export class DatagenReader implements SourceReader {
  private readonly generators: readonly { readonly layout: ColumnLayout; readonly generate: Generate; readonly sequence: number | undefined }[]
  private readonly limiter: RateLimiter
  /** In turn, a frame each: one without end must not hold back another that a restore at a lower parallelism gave this reader. */
  private readonly splits: StridedSplit[] = []
  private allAssigned = false

  constructor(node: ScanNode, context: SourceReaderContext) {
    this.generators = node.projected.map(column => {
      const { name, type } = node.physical[column]!
      return { layout: columnLayout(type), ...generatorOf(name, type, node.options, context) }
    })
    const rate = Number(node.options['rows-per-second'] ?? 10_000)
    this.limiter = new RateLimiter(context.clock, rate / context.parallelism, () => context.wake())
  }

  addSplits(splits: readonly SourceSplit[]): void {
    // The strided enumerator's.
    this.splits.push(...(splits as readonly StridedSplit[]))
  }

  noMoreSplits(): void {
    this.allAssigned = true
  }

  poll(output: SourceOutput): 'more' | 'nothing' | 'end' {
    while (!output.shouldYield()) {
      const split = this.splits[0]
      if (split === undefined) return this.allAssigned ? 'end' : 'nothing'
      const left = split.count === null ? ROWS_PER_FRAME : Math.ceil((split.count - split.next) / split.step)
      if (left <= 0) {
        this.splits.shift()
        continue
      }
      const allowed = this.limiter.available()
      if (allowed === 0) return 'nothing'
      const length = Math.min(left, allowed, ROWS_PER_FRAME)
      const columns = this.generators.map(each => columnOf(each, split.next, split.step, length))
      this.limiter.take(length)
      this.splits.shift()
      this.splits.push({ ...split, next: split.next + length * split.step })
      output.collectFrame({ kind: 'columnar', length, columns, timestamps: undefined, rowKinds: undefined })
    }
    return 'more'
  }

  snapshotSplits(): readonly SourceSplit[] {
    return this.splits
  }

  describePosition(): string {
    return `row ${this.splits.at(-1)?.next ?? ''} of the generator`
  }

  close(): void {
    this.limiter.close()
  }
}

const ROWS_PER_FRAME = 2048

function columnOf({ layout, generate, sequence }: DatagenReader['generators'][number], from: number, step: number, length: number): Column {
  if (sequence !== undefined && layout.kind === 'i64' && layout.scale < 0) {
    const values = new BigInt64Array(length)
    for (let i = 0; i < length; i++) values[i] = BigInt(sequence + from + i * step)
    return { kind: 'i64', values, validity: undefined }
  }
  const rows = Array.from({ length }, (_, i) => [generate(from + i * step)])
  return frameOf(rows, [layout]).columns[0]!
}

function generatorOf(
  name: string,
  type: string,
  options: ScanNode['options'],
  context: SourceReaderContext,
): { readonly generate: Generate; readonly sequence: number | undefined } {
  const option = (key: string) => options[`fields.${name}.${key}`] as string | undefined
  const word = /^[A-Z_]+/.exec(type)?.[0] ?? ''
  const nullRate = Number(option('null-rate') ?? 0)
  const seed = hashText(name)
  if (option('kind') === 'sequence') {
    const start = Number(option('start'))
    const of = numberAs(word, type)
    return { generate: index => of(start + index), sequence: start }
  }
  const value = randomOf(word, type, option, context)
  return {
    generate: index => {
      const random = uniform(seed, index)
      return nullRate > 0 && uniform(seed ^ 0x5bd1e995, index) < nullRate ? null : value(random, index, seed)
    },
    sequence: undefined,
  }
}

function randomOf(
  word: string,
  type: string,
  option: (key: string) => string | undefined,
  context: SourceReaderContext,
): (random: number, index: number, seed: number) => unknown {
  const bounds = { TINYINT: [-128, 127], SMALLINT: [-32768, 32767], INT: [-2147483648, 2147483647], BIGINT: [-(2 ** 63), 2 ** 63 - 1024] }[word]
  const of = numberAs(word, type)
  switch (word) {
    case 'BOOLEAN':
      return random => random < 0.5
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
    case 'BIGINT': {
      const min = Number(option('min') ?? bounds![0])
      const max = Number(option('max') ?? bounds![1])
      return random => of(Math.min(max, Math.floor(min + random * (max - min + 1))))
    }
    case 'FLOAT':
    case 'DOUBLE':
    case 'DECIMAL': {
      const min = Number(option('min') ?? 0)
      const max = Number(option('max') ?? (word === 'DECIMAL' ? 9 : 1_000_000))
      return random => of(min + random * (max - min))
    }
    case 'STRING':
    case 'VARCHAR':
    case 'CHAR': {
      const length = Number(option('length') ?? /\((\d+)\)/.exec(type)?.[1] ?? 100)
      return (_, index, seed) => {
        let text = ''
        for (let i = 0; i < length; i++) text += Math.floor(uniform(seed + i + 1, index) * 16).toString(16)
        return text
      }
    }
    case 'DATE':
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ': {
      const past = parseDuration(option('max-past') ?? '0 ms')
      const now = () => context.clock.nowMs()
      return random => (word === 'DATE' ? Math.floor((now() - random * past) / 86_400_000) : Math.floor(now() - random * past))
    }
    default:
      throw new FlinkError('UNSUPPORTED', `connector datagen does not make values of type ${type}`)
  }
}

function numberAs(word: string, type: string): (value: number) => unknown {
  if (word === 'BIGINT') return value => BigInt(Math.trunc(value))
  if (word === 'DECIMAL') {
    const scale = Number(/,\s*(\d+)/.exec(type)?.[1] ?? 0)
    return value => value.toFixed(scale)
  }
  if (word === 'STRING' || word === 'VARCHAR' || word === 'CHAR') return value => String(value)
  if (word === 'FLOAT') return value => Math.fround(value)
  return value => value
}

/** A number in [0, 1) that follows from its arguments. */
function uniform(seed: number, index: number): number {
  let h = Math.imul(seed ^ Math.imul(index | 0, 0x9e3779b1) ^ Math.imul(Math.floor(index / 2 ** 32), 0x85ebca77), 0x27d4eb2f)
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d)
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39)
  return ((h ^ (h >>> 15)) >>> 0) / 2 ** 32
}

function hashText(text: string): number {
  let h = 7
  for (let i = 0; i < text.length; i++) h = (Math.imul(h, 31) + text.charCodeAt(i)) | 0
  return h
}
