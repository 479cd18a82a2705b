import { ParameterTool, type StreamExecutionEnvironment, TumblingEventTimeWindows, Types, WatermarkStrategy } from 'millrace'

const Order = Types.row({ shop: Types.STRING, amount: Types.DOUBLE, ts: Types.SAFE_LONG })

/** Revenue of each shop per minute of event time; orders may be 5 seconds late. */
export default (env: StreamExecutionEnvironment, args: string[]) => {
  const count = ParameterTool.fromArgs(args).getInt('orders', 240)
  env
    .fromSequence(0, count - 1)
    .map(i => ({ shop: `shop ${i % 3}`, amount: i % 7 === 0 ? 0 : (i % 10) + 0.5, ts: 1_700_000_040_000 + i * 1_000 }))
    .returns(Order)
    .assignTimestampsAndWatermarks(WatermarkStrategy.forBoundedOutOfOrderness('5 s').withTimestampAssigner(order => order.ts))
    .filter(order => order.amount > 0)
    .keyBy(order => order.shop)
    .window(TumblingEventTimeWindows.of('1 min'))
    .sum('amount')
    .uid('revenue')
    .print('revenue')
}
