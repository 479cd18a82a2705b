import {
  type Collector,
  type KeyedProcessContext,
  type RuntimeContext,
  type StreamExecutionEnvironment,
  Types,
  type ValueState,
  ValueStateDescriptor,
  WatermarkStrategy,
} from 'millrace'

interface Reading {
  readonly sensor: string
  readonly at: number
  readonly celsius: number
}

const hourMs = 3_600_000

/** Alerts where a sensor's temperature jumps. A sensor that says nothing for an hour of event time is forgotten: state and timer go. */
export class SelfCleaningTemperatureAlert {
  readonly lastTemperature = new ValueStateDescriptor('lastTemperature', Types.DOUBLE)
  readonly currentTimer = new ValueStateDescriptor('currentTimer', Types.SAFE_LONG)
  private readonly threshold: number
  private last!: ValueState<number>
  private timer!: ValueState<number>

  constructor(threshold: number) {
    this.threshold = threshold
  }

  open(context: RuntimeContext): void {
    this.last = context.getState(this.lastTemperature)
    this.timer = context.getState(this.currentTimer)
  }

  processElement(reading: Reading, context: KeyedProcessContext<string>, out: Collector<[string, number, number]>): void {
    // One timer a sensor: an hour behind its latest reading.
    const before = this.timer.value()
    if (before !== null) context.timerService().deleteEventTimeTimer(before)
    context.timerService().registerEventTimeTimer(reading.at + hourMs)
    this.timer.update(reading.at + hourMs)

    // null, not 0: a first reading is no jump.
    const last = this.last.value()
    if (last !== null && Math.abs(reading.celsius - last) > this.threshold) out.collect([reading.sensor, reading.celsius, reading.celsius - last])
    this.last.update(reading.celsius)
  }

  onTimer(): void {
    this.last.clear()
    this.timer.clear()
  }
}

export default (env: StreamExecutionEnvironment) => {
  const readings: Reading[] = [
    { sensor: 's1', at: 0, celsius: 20 },
    { sensor: 's2', at: 1_000, celsius: 5 },
    { sensor: 's1', at: 2_000, celsius: 21.5 },
    { sensor: 's1', at: 3_000, celsius: 24 },
    { sensor: 's1', at: 1.5 * hourMs, celsius: 24 },
    // Forgotten by then: no alert, though it is 20 degrees warmer than the last time.
    { sensor: 's2', at: 2 * hourMs, celsius: 25 },
    { sensor: 's2', at: 2 * hourMs + 1_000, celsius: 22 },
  ]
  env
    .fromCollection(readings, Types.row({ sensor: Types.STRING, at: Types.SAFE_LONG, celsius: Types.DOUBLE }))
    .assignTimestampsAndWatermarks(
      WatermarkStrategy.forGenerator<Reading>(() => ({
        onEvent: (_event, timestamp, output) => output.emitWatermark(timestamp),
        onPeriodicEmit: () => {},
      })).withTimestampAssigner(reading => reading.at),
    )
    .keyBy('sensor')
    .process(new SelfCleaningTemperatureAlert(1.7))
    .map(([sensor, celsius, jump]) => `(${sensor},${celsius},${jump})`)
    .print('alert')
}
