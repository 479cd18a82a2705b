import { ParameterTool, type StreamExecutionEnvironment, Types } from 'millrace'

/** Words from a server such as `nc -lk 7777`: `--host localhost --port 7777`. */
export default (env: StreamExecutionEnvironment, args: string[]) => {
  const parameters = ParameterTool.fromArgs(args)
  env
    .socketTextStream(parameters.getRequired('host'), parameters.getInt('port'))
    .flatMap(line => line.split(/\s+/).filter(word => word !== ''))
    .map(word => [word, 1])
    .returns(Types.tuple(Types.STRING, Types.INT))
    .keyBy(0)
    .sum(1)
    .print()
  return env.execute('first stream')
}
