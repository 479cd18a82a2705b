import {
  type BroadcastContext,
  type BroadcastState,
  type Collector,
  DataGeneratorSource,
  FileSink,
  type FunctionInitializationContext,
  type KeyedProcessContext,
  type ListState,
  ListStateDescriptor,
  type MapState,
  MapStateDescriptor,
  OnCheckpointRollingPolicy,
  ParameterTool,
  type ProcessWindowContext,
  ReducingStateDescriptor,
  type RuntimeContext,
  SimpleStringEncoder,
  type StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  Types,
  ValueStateDescriptor,
  WatermarkStrategy,
} from 'millrace'

/**
 * Every way in which state is dealt out, in one job: keyed states, timers and windows by key groups, a list, a union list and a broadcast state, and a
 * transactional file sink. Its lines of text depend on nothing but `--count` (every-state-results.ts), but for those that begin with `restored`: what each
 * subtask of the last three has found when it began. `--rows-per-second`, `--out`: URI of the sink.
 */
export default (env: StreamExecutionEnvironment, args: readonly string[]) => {
  const parameters = ParameterTool.fromArgs(args)
  const options = {
    count: Number(parameters.getRequired('count')),
    rowsPerSecond: Number(parameters.getRequired('rows-per-second')),
    type: Types.INT,
  }
  // One source in order: what a key has seen when a row comes, and when a watermark comes, is the same in each run.
  const numbers = env
    .fromSource(new DataGeneratorSource(n => n, options), WatermarkStrategy.noWatermarks(), 'numbers')
    .uid('numbers')
    .setParallelism(1)
    .assignTimestampsAndWatermarks(WatermarkStrategy.forMonotonousTimestamps<number>().withTimestampAssigner(n => n * MS_PER_ROW))
    .uid('times')
    .setParallelism(1)
  const totals = numbers
    .keyBy((n: number) => n % KEYS)
    .process(new Totals())
    .uid('totals')
  const windows = numbers
    .keyBy((n: number) => n % KEYS)
    .window(TumblingEventTimeWindows.of(`${WINDOW_MS} ms`))
    .process({
      process(key: number, context: ProcessWindowContext, elements: Iterable<number>, out: Collector<string>) {
        const all = [...elements]
        out.collect(`window ${key} ${context.window().getStart()} ${all.length} ${Math.max(...all)}`)
      },
    })
    .uid('windows')
  const lists = numbers.rebalance().flatMap(new Lists()).uid('lists')
  const rules = numbers
    .filter((n: number) => isKept(n))
    .setParallelism(1)
    .broadcast(ruleStates)
  const ruled = numbers.rebalance().connect(rules).process(new Rules()).uid('rules')
  totals
    .union(windows, lists, ruled)
    .sinkTo(
      FileSink.forRowFormat<string>(parameters.getRequired('out'), new SimpleStringEncoder<string>())
        .withRollingPolicy(OnCheckpointRollingPolicy.build())
        .build(),
    )
    .uid('files')
}

export const KEYS = 7
export const MS_PER_ROW = 10
export const WINDOW_MS = 1_000

/** The numbers that lists and rules hold. */
export const isKept = (n: number) => n % 20 === 0

const ruleStates = new MapStateDescriptor('rules', Types.INT, Types.STRING)

class Totals {
  readonly count = new ValueStateDescriptor('count', Types.INT)
  readonly last = new ListStateDescriptor('last', Types.INT)
  readonly sum = new ReducingStateDescriptor('sum', (a: number, b: number) => a + b, Types.INT)
  readonly inWindow = new MapStateDescriptor('inWindow', Types.LONG, Types.INT)
  private context!: RuntimeContext

  open(context: RuntimeContext): void {
    this.context = context
  }

  processElement(n: number, context: KeyedProcessContext<number>, out: Collector<string>): void {
    const [count, last, sum] = [this.context.getState(this.count), this.context.getListState(this.last), this.context.getReducingState(this.sum)]
    count.update((count.value() ?? 0) + 1)
    last.update([...last.get(), n].slice(-3))
    sum.add(n)
    out.collect(`total ${context.getCurrentKey()} ${count.value()} ${[...last.get()].join(',')} ${sum.get()}`)
    const end = (Math.floor((n * MS_PER_ROW) / WINDOW_MS) + 1) * WINDOW_MS - 1
    const inWindow = this.inWindowState()
    inWindow.put(BigInt(end), (inWindow.get(BigInt(end)) ?? 0) + 1)
    context.timerService().registerEventTimeTimer(end)
  }

  onTimer(timestamp: number, context: KeyedProcessContext<number>, out: Collector<string>): void {
    const end = BigInt(timestamp)
    out.collect(`timer ${context.getCurrentKey()} ${timestamp} ${this.inWindowState().get(end)}`)
    this.inWindowState().remove(end)
  }

  private inWindowState(): MapState<bigint, number> {
    return this.context.getMapState(this.inWindow)
  }
}

/** Says with its first row what it has found: a snapshot of it, because state goes on changing. */
class Found {
  private readonly lines: string[] = []
  private subtask = ''

  open(context: RuntimeContext): void {
    this.subtask = `${context.getIndexOfThisSubtask()}/${context.getNumberOfParallelSubtasks()} of attempt ${context.getAttemptNumber()}`
  }

  add(kind: string, numbers: Iterable<number>): void {
    for (const n of numbers) this.lines.push(`restored ${kind} ${n} by `)
  }

  sayTo(out: Collector<string>): void {
    for (const line of this.lines.splice(0)) out.collect(line + this.subtask)
  }
}

class Lists {
  readonly split = new ListStateDescriptor('split', Types.INT)
  readonly union = new ListStateDescriptor('union', Types.INT)
  private readonly found = new Found()
  private splitState!: ListState<number>
  private unionState!: ListState<number>
  private attempt = 0

  initializeState(context: FunctionInitializationContext): void {
    const states = context.getOperatorStateStore()
    this.splitState = states.getListState(this.split)
    this.unionState = states.getUnionListState(this.union)
    this.found.add('split', this.splitState.get())
    this.found.add('union', this.unionState.get())
  }

  open(context: RuntimeContext): void {
    this.found.open(context)
    this.attempt = context.getAttemptNumber()
    // Everybody has all of a union list: one keeps it, or it would be there as often as there are subtasks.
    if (context.getIndexOfThisSubtask() > 0) this.unionState.clear()
  }

  flatMap(n: number, out: Collector<string>): void {
    this.found.sayTo(out)
    if (!isKept(n)) return
    this.splitState.add(n)
    this.unionState.add(n)
    out.collect(`seen ${n} in attempt ${this.attempt}`)
  }
}

class Rules {
  private readonly found = new Found()
  private state!: BroadcastState<number, string>

  initializeState(context: FunctionInitializationContext): void {
    this.state = context.getOperatorStateStore().getBroadcastState(ruleStates)
    this.found.add(
      'broadcast',
      [...this.state.immutableEntries()].filter(([n, text]) => text === ruleText(n)).map(([n]) => n),
    )
  }

  open(context: RuntimeContext): void {
    this.found.open(context)
  }

  processElement(_n: number, _context: unknown, out: Collector<string>): void {
    this.found.sayTo(out)
  }

  processBroadcastElement(n: number, context: BroadcastContext): void {
    context.getBroadcastState(ruleStates).put(n, ruleText(n))
  }
}

const ruleText = (n: number) => `rule ${n}`
