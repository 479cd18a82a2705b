import { type StreamExecutionEnvironment, Types } from 'millrace'

/** Scores split into good and bad ones, read apart and together, connected with a function for each, and united again. */
export default (env: StreamExecutionEnvironment) => {
  const scores = env.fromCollection(
    [
      ['a', 80],
      ['b', 59],
      ['c', 60],
    ],
    Types.tuple(Types.STRING, Types.INT),
  )
  const split = scores.split(score => (score[1] > 60 ? ['good'] : ['bad']))
  const good = split.select('good')
  const bad = split.select('bad')
  good.print('good')
  bad.print('bad')
  split.select('good', 'bad').print('all')
  good
    .connect(bad)
    .map(
      ([name]) => [name, '成绩异常优秀,奖励大红花一枚'],
      ([name]) => [name, '成绩异常糟糕,没有任何奖励'],
    )
    .returns(Types.tuple(Types.STRING, Types.STRING))
    .print('connected')
  good.union(bad).print('union')
}
