import type { StreamExecutionEnvironment } from 'millrace'

/** Starts, reads one row, keeps nothing, ends. */
export default (env: StreamExecutionEnvironment) => {
  env.fromElements('row').addSink(() => {})
}
