import { OutputTag, type StreamExecutionEnvironment, Types } from 'millrace'

const sideOutput = new OutputTag('side-output', Types.STRING)

/** Integers as longs on the main output, as text on a side output. */
export default (env: StreamExecutionEnvironment) => {
  const main = env
    .fromCollection([1, 2], Types.INT)
    .process<bigint>((value, context, out) => {
      out.collect(BigInt(value))
      context.output(sideOutput, `side-output: ${value}`)
    })
    .returns(Types.LONG)
  main.print('main')
  main.getSideOutput(sideOutput).print('side')
}
