import type { StreamExecutionEnvironment } from 'millrace'

export default (env: StreamExecutionEnvironment) => {
  env.fromElements('row').print()
}
