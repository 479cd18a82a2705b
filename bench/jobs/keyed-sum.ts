import { ParameterTool, type RuntimeContext, type SinkFunction, type StreamExecutionEnvironment, Types } from 'millrace'
import { mix } from '../generate/hash.ts'
import { writePart } from './check-sink.ts'

/** The same program as `bench/flink/KeyedSum.java`: (int, long) pairs made from a sequence, a rolling sum per key. `--long bigint` for exact longs. */
export default (env: StreamExecutionEnvironment, args: string[]) => {
  const parameters = ParameterTool.fromArgs(args)
  const keys = Number(parameters.getRequired('keys'))
  const sink = new SumSink(parameters.getRequired('out'), keys)
  const numbers = env.fromSequence(0, Number(parameters.getRequired('rows')) - 1).name('numbers')
  if (parameters.get('long') === 'bigint') {
    numbers
      .map<[number, bigint]>(index => {
        const hash = mix(index)
        return [(hash >>> 1) % keys, BigInt(hash & 0xffff)]
      })
      .name('pairs')
      .returns(Types.tuple(Types.INT, Types.LONG))
      .keyBy(0)
      .sum(1)
      .name('sums')
      .addSink(sink)
      .name('sink')
    return
  }
  numbers
    .map<[number, number]>(index => {
      const hash = mix(index)
      return [(hash >>> 1) % keys, hash & 0xffff]
    })
    .name('pairs')
    .returns(Types.tuple(Types.INT, Types.SAFE_LONG))
    .keyBy(0)
    .sum(1)
    .name('sums')
    .addSink(sink)
    .name('sink')
}

/** Keeps the last sum of each key: the sums between depend on the order in which two sources' rows meet, the last one does not. */
class SumSink implements SinkFunction<[number, number | bigint]> {
  private readonly folder: string
  private readonly keys: number
  private last = new Float64Array(0)
  private context: RuntimeContext | undefined
  private rows = 0

  constructor(folder: string, keys: number) {
    this.folder = folder
    this.keys = keys
  }

  open(context: RuntimeContext): void {
    this.context = context
    this.last = new Float64Array(this.keys).fill(-1)
  }

  invoke([key, sum]: [number, number | bigint]): void {
    this.rows++
    this.last[key] = Number(sum)
  }

  close(): void {
    if (this.context === undefined) return
    const lines = [`#rows\t${this.rows}`]
    for (const [key, sum] of this.last.entries()) if (sum >= 0) lines.push(`${key}\t${sum}`)
    writePart(this.folder, this.context, lines)
  }
}
