CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT id, COUNT(id), AVG(temperature), TUMBLE_START(rt, INTERVAL '10' SECOND), TUMBLE_END(rt, INTERVAL '10' SECOND), TUMBLE_ROWTIME(rt, INTERVAL '10' SECOND) FROM sensor GROUP BY id, TUMBLE(rt, INTERVAL '10' SECOND);
