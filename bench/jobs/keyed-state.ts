import {
  type CheckpointedFunction,
  type Collector,
  type FunctionInitializationContext,
  type KeyedProcessContext,
  type KeyedProcessFunction,
  ListStateDescriptor,
  type OperatorListState,
  ParameterTool,
  type RuntimeContext,
  type SinkFunction,
  type StreamExecutionEnvironment,
  Types,
  type ValueState,
  ValueStateDescriptor,
  WatermarkStrategy,
} from 'millrace'
import { mix } from '../generate/hash.ts'
import { writePart } from './check-sink.ts'
import { pacedRows } from './paced-rows.ts'
import { ResultLog } from './result-log.ts'

/**
 * The same program as `bench/flink/KeyedState.java`: one value a key, each key once as fast as it goes, then chance keys at a steady rate; each row reads its
 * key's value and writes another of the same size. `--values typed`: a STRING; `generic`: an object of a type that was not declared.
 */
export default (env: StreamExecutionEnvironment, args: string[]) => {
  const parameters = ParameterTool.fromArgs(args)
  const number = (name: string) => Number(parameters.getRequired(name))
  const valueBytes = number('value-bytes')
  const source = pacedRows({ keys: number('keys'), rows: number('rows'), rowsPerSecond: number('rate') })
  const update = parameters.getRequired('values') === 'generic' ? new UpdateGeneric(valueBytes) : new UpdateTyped(valueBytes)
  env
    .fromSource(source, WatermarkStrategy.noWatermarks(), 'rows')
    .uid('rows')
    .keyBy(0)
    .process(update)
    .name('values')
    .uid('values')
    .returns(Types.tuple(Types.INT, Types.INT, Types.INT))
    .addSink(new CountingSink(parameters.getRequired('out'), parameters.getRequired('log')))
    .name('sink')
    .uid('sink')
}

/** Key and index. */
type Row = readonly [number, number]
/** Key, how often it has come, index. */
type Counted = [number, number, number]

const COUNT_DIGITS = 10

/** Texts of one length, flat: a rope would share its end with all others, and be no text of that size. */
class Texts {
  private readonly buffer: Buffer

  constructor(length: number) {
    this.buffer = Buffer.alloc(length, '.')
  }

  /** Begins with the count. */
  of(count: number, key: number): string {
    this.buffer.write(String(count).padStart(COUNT_DIGITS, '0'), 0, 'latin1')
    this.buffer.write(String(key).padStart(COUNT_DIGITS, '0'), COUNT_DIGITS, 'latin1')
    return this.buffer.toString('latin1')
  }
}

class UpdateTyped implements KeyedProcessFunction<number, Row, Counted> {
  readonly descriptor = new ValueStateDescriptor('value', Types.STRING)
  private readonly texts: Texts
  private state!: ValueState<string>

  constructor(valueBytes: number) {
    this.texts = new Texts(valueBytes)
  }

  open(context: RuntimeContext): void {
    this.state = context.getState(this.descriptor)
  }

  processElement([key, index]: Row, _context: KeyedProcessContext<number>, out: Collector<Counted>): void {
    const value = this.state.value()
    const count = value === null ? 1 : Number(value.slice(0, COUNT_DIGITS)) + 1
    this.state.update(this.texts.of(count, key))
    out.collect([key, count, index])
  }
}

interface Value {
  readonly count: number
  readonly text: string
}

class UpdateGeneric implements KeyedProcessFunction<number, Row, Counted> {
  readonly descriptor = new ValueStateDescriptor<Value>('value')
  private readonly texts: Texts
  private state!: ValueState<Value>

  constructor(valueBytes: number) {
    // The count is a part of the value.
    this.texts = new Texts(valueBytes - 4)
  }

  open(context: RuntimeContext): void {
    this.state = context.getState(this.descriptor)
  }

  processElement([key, index]: Row, _context: KeyedProcessContext<number>, out: Collector<Counted>): void {
    const count = (this.state.value()?.count ?? 0) + 1
    this.state.update({ count, text: this.texts.of(count, key) })
    out.collect([key, count, index])
  }
}

/** Counts, and logs when it counted. Its totals are in checkpoints, so that they say at the end whether each row was worked exactly once. */
class CountingSink implements SinkFunction<Counted>, CheckpointedFunction {
  readonly descriptor = new ListStateDescriptor('totals', Types.tuple(Types.SAFE_LONG, Types.SAFE_LONG))
  private readonly folder: string
  private readonly logFolder: string
  private totals!: OperatorListState<[number, number]>
  private context: RuntimeContext | undefined
  private log!: ResultLog
  private rows = 0
  private checksum = 0

  constructor(folder: string, logFolder: string) {
    this.folder = folder
    this.logFolder = logFolder
  }

  initializeState(context: FunctionInitializationContext): void {
    this.totals = context.getOperatorStateStore().getListState(this.descriptor) as OperatorListState<[number, number]>
    for (const [rows, checksum] of this.totals.get()) {
      this.rows += rows
      this.checksum += checksum
    }
  }

  snapshotState(): void {
    this.totals.update([[this.rows, this.checksum]])
  }

  open(context: RuntimeContext): void {
    this.context = context
    this.log = new ResultLog(this.logFolder, context)
  }

  invoke([key, count, index]: Counted): void {
    this.rows++
    this.checksum += mix(Math.imul(key, 31) + count) & 0xffff
    this.log.add(index)
  }

  close(): void {
    if (this.context === undefined) return
    this.log.close()
    writePart(this.folder, this.context, [`#rows\t${this.rows}`, `#checksum\t${this.checksum}`])
  }
}
