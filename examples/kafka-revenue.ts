import {
  KafkaSource,
  OffsetsInitializer,
  ParameterTool,
  type StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  Types,
  WatermarkStrategy,
} from 'millrace'

/** Revenue of each shop per minute, from JSON orders in a Kafka topic: `--brokers host:9092`. */
export default (env: StreamExecutionEnvironment, args: string[]) => {
  const brokers = ParameterTool.fromArgs(args).getRequired('brokers')
  const orders = KafkaSource.builder()
    .setBootstrapServers(brokers)
    .setTopics('orders')
    .setStartingOffsets(OffsetsInitializer.earliest())
    .setValueFormat('json', Types.row({ shop: Types.STRING, amount: Types.DOUBLE, ts: Types.SAFE_LONG }))
    .build()
  env
    .fromSource(
      orders,
      WatermarkStrategy.forBoundedOutOfOrderness('5 s').withTimestampAssigner(order => order.ts),
      'orders',
    )
    .filter(order => order.amount > 0)
    .keyBy(order => order.shop)
    .window(TumblingEventTimeWindows.of('1 min'))
    .sum('amount')
    .uid('revenue')
    .print('revenue')
}
