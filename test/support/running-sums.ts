export interface RunningSumsJob {
  readonly count: number
  readonly rowsPerSecond: number
  /** Statements in front of the job, on `env`. */
  readonly settings?: string
}

/** A program that prints a running sum for each of five keys, slow enough to be killed in the middle. */
export const runningSumsJob = ({ count, rowsPerSecond, settings = '' }: RunningSumsJob) =>
  `import { type Collector, DataGeneratorSource, type KeyedProcessContext, type RuntimeContext, type StreamExecutionEnvironment, Types, type ValueState, ValueStateDescriptor, WatermarkStrategy } from 'millrace'
class RunningSum {
  readonly sum = new ValueStateDescriptor('sum', Types.INT)
  private state!: ValueState<number>
  open(context: RuntimeContext) { this.state = context.getState(this.sum) }
  processElement(value: number, ctx: KeyedProcessContext<number>, out: Collector<string>) {
    const next = (this.state.value() ?? 0) + value
    this.state.update(next)
    out.collect(ctx.getCurrentKey() + ' ' + next)
  }
}
export default (env: StreamExecutionEnvironment) => {
  ${settings}
  env.fromSource(new DataGeneratorSource(n => n + 1, { count: ${count}, rowsPerSecond: ${rowsPerSecond}, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers')
    .keyBy((n: number) => n % 5).process(new RunningSum()).print()
}
`
