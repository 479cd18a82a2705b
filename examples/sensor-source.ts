import { setTimeout as pause } from 'node:timers/promises'
import { ParameterTool, type SourceContext, type SourceFunction, type StreamExecutionEnvironment, Types } from 'millrace'

interface SensorReading {
  id: string
  timestamp: number
  temperature: number
}

/** Ten sensors that drift; every 100 ms each sends a reading, all with the same timestamp. */
class SensorSource implements SourceFunction<SensorReading> {
  private running = true
  private readonly rounds: number

  constructor(rounds: number) {
    this.rounds = rounds
  }

  async run(context: SourceContext<SensorReading>): Promise<void> {
    const temperatures = Array.from({ length: 10 }, () => 65 + gaussian() * 20)
    for (let round = 0; round < this.rounds && this.running; round++) {
      const timestamp = Date.now()
      for (const [i, before] of temperatures.entries()) {
        const temperature = before + gaussian()
        temperatures[i] = temperature
        await context.collect({ id: `sensor_${i + 1}`, timestamp, temperature })
      }
      await pause(100)
    }
  }

  cancel(): void {
    this.running = false
  }
}

function gaussian(): number {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())
}

/** An own source, `--rounds N` long (else until it is cancelled), and each sensor's highest temperature so far. */
export default (env: StreamExecutionEnvironment, args: string[]) => {
  const rounds = ParameterTool.fromArgs(args).getInt('rounds', Number.MAX_SAFE_INTEGER)
  env
    .addSource(new SensorSource(rounds), 'sensors', Types.row({ id: Types.STRING, timestamp: Types.SAFE_LONG, temperature: Types.DOUBLE }))
    .keyBy('id')
    .maxBy('temperature')
    .print()
}
