import { ParameterTool, type RuntimeContext, type SinkFunction, type StreamExecutionEnvironment, Types } from 'millrace'
import { EXCHANGE_CYCLE, exchangeRow } from '../generate/exchange-rows.ts'
import { writePart } from './check-sink.ts'

/** Rows of 64 bytes (int, double, 52 characters) from one slot to another over a HASH edge; the receiver reads every column. */
export default (env: StreamExecutionEnvironment, args: string[]) => {
  const parameters = ParameterTool.fromArgs(args)
  // Made beforehand: making them is not what is measured.
  const rows = Array.from({ length: EXCHANGE_CYCLE }, (_, index) => exchangeRow(index))
  const mask = EXCHANGE_CYCLE - 1
  env
    .fromSequence(0, Number(parameters.getRequired('rows')) - 1)
    .setParallelism(1)
    .slotSharingGroup('senders')
    .map(index => rows[index & mask] as [number, number, string])
    .setParallelism(1)
    .name('rows')
    .returns(Types.tuple(Types.INT, Types.DOUBLE, Types.STRING))
    .keyBy(0)
    .map(row => row)
    .returns(Types.tuple(Types.INT, Types.DOUBLE, Types.STRING))
    .setParallelism(1)
    .slotSharingGroup('receivers')
    .name('received')
    .addSink(new ReadingSink(parameters.getRequired('out')))
    .setParallelism(1)
    .name('sink')
}

class ReadingSink implements SinkFunction<[number, number, string]> {
  private readonly folder: string
  private context: RuntimeContext | undefined
  private rows = 0
  private keys = 0
  private values = 0
  private characters = 0
  private firstMs = 0

  constructor(folder: string) {
    this.folder = folder
  }

  open(context: RuntimeContext): void {
    this.context = context
  }

  invoke(row: [number, number, string]): void {
    if (this.rows++ === 0) this.firstMs = performance.now()
    this.keys += row[0]
    this.values += row[1]
    this.characters += row[2].charCodeAt(51)
  }

  close(): void {
    if (this.context === undefined) return
    const elapsedMs = performance.now() - this.firstMs
    const { rows, keys, values, characters } = this
    writePart(this.folder, this.context, [
      `#rows\t${rows}`,
      `#keys\t${keys}`,
      `#values\t${values}`,
      `#characters\t${characters}`,
      `#elapsedMs\t${elapsedMs}`,
    ])
  }
}
