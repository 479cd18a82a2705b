import { ParameterTool, type StreamExecutionEnvironment, Types } from 'millrace'

/** Counts words: `--input <file or folder>` (else three lines of its own). The count of a word is printed each time it grows; in batch mode once. */
export default (env: StreamExecutionEnvironment, args: string[]) => {
  const parameters = ParameterTool.fromArgs(args)
  const lines = parameters.has('input')
    ? env.readTextFile(parameters.getRequired('input'))
    : env.fromElements('hello world', 'hello flink', 'hello scala')
  lines
    .flatMap(line => line.split(/\s+/).filter(word => word !== ''))
    .name('words')
    .map(word => [word, 1])
    .returns(Types.tuple(Types.STRING, Types.INT))
    .keyBy(0)
    .sum(1)
    .uid('counts')
    .print()
}
