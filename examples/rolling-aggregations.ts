import { type StreamExecutionEnvironment, Types } from 'millrace'

/** What min, max, minBy, maxBy and reduce make of the same readings of one sensor: (id, timestamp, temperature). */
export default (env: StreamExecutionEnvironment) => {
  const readings = env
    .fromCollection(
      [
        ['s1', 1, 35.8],
        ['s1', 2, 32.0],
        ['s1', 3, 36.2],
        ['s1', 4, 32.0],
      ],
      Types.tuple(Types.STRING, Types.SAFE_LONG, Types.DOUBLE),
    )
    .keyBy(0)
  readings.min(2).print('min')
  readings.max(2).print('max')
  readings.minBy(2).print('minBy')
  readings.maxBy(2).print('maxBy')
  readings.reduce((last, now) => [last[0], now[1], Math.min(last[2], now[2])]).print('reduce')
}
