import { ParameterTool, type RuntimeContext, type SinkFunction, type StreamExecutionEnvironment, Types } from 'millrace'
import { writePart } from './check-sink.ts'

/** The same program as `bench/flink/WordCount.java`: lines, a user's lambda that makes pairs, a rolling sum per word. */
export default (env: StreamExecutionEnvironment, args: string[]) => {
  const parameters = ParameterTool.fromArgs(args)
  env
    .readTextFile(parameters.getRequired('input'))
    .name('lines')
    .flatMap<[string, number]>((line, out) => {
      for (const word of line.split(' ')) out.collect([word, 1])
    })
    .name('words')
    .returns(Types.tuple(Types.STRING, Types.INT))
    .keyBy(0)
    .sum(1)
    .name('counts')
    .addSink(new CountSink(parameters.getRequired('out'), parameters.getRequired('verify') === 'true'))
    .name('sink')
}

/**
 * Takes rows and forgets them. The totals do not depend on the order of rows: each word's counts are 1, 2, … n. With `verify` the last
 * count of every word is kept and written as well.
 */
class CountSink implements SinkFunction<[string, number]> {
  private readonly folder: string
  private readonly last: Map<string, number> | undefined
  private context: RuntimeContext | undefined
  private rows = 0
  private counts = 0
  private weighted = 0

  constructor(folder: string, verify: boolean) {
    this.folder = folder
    this.last = verify ? new Map() : undefined
  }

  open(context: RuntimeContext): void {
    this.context = context
  }

  invoke([word, count]: [string, number]): void {
    this.rows++
    this.counts += count
    this.weighted += count * word.length
    this.last?.set(word, count)
  }

  close(): void {
    if (this.context === undefined) return
    const lines = [`#rows\t${this.rows}`, `#counts\t${this.counts}`, `#weighted\t${this.weighted}`]
    for (const [word, count] of this.last ?? []) lines.push(`${word}\t${count}`)
    writePart(this.folder, this.context, lines)
  }
}
