import { readFileSync } from 'node:fs'
import { ParameterTool, type StreamExecutionEnvironment, sqlProgram } from 'millrace'

/** The same program as `bench/flink/SqlScript.java`: reads a script where it runs and makes one job of its INSERTs. */
export default (env: StreamExecutionEnvironment, args: string[]) => {
  const script = ParameterTool.fromArgs(args).getRequired('script')
  return sqlProgram(readFileSync(script, 'utf8'), 'script.sql')(env, [])
}
