import type { FilterFunction, StreamExecutionEnvironment } from 'millrace'

class FlinkFilter implements FilterFunction<string> {
  private readonly word: string

  constructor(word: string) {
    this.word = word
  }

  filter(value: string): boolean {
    return value.includes(this.word)
  }
}

/** The same filter as a function object and as a lambda. */
export default (env: StreamExecutionEnvironment) => {
  const lines = env.fromElements('apache flink', 'spark', 'flink sql')
  lines.filter(new FlinkFilter('flink')).print('object')
  lines.filter(line => line.includes('flink')).print('lambda')
}
