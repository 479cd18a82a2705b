CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT id, HOP_START(rt, INTERVAL '4' SECOND, INTERVAL '12' SECOND), HOP_END(rt, INTERVAL '4' SECOND, INTERVAL '12' SECOND), HOP_ROWTIME(rt, INTERVAL '4' SECOND, INTERVAL '12' SECOND), COUNT(*), AVG(temperature) FROM sensor GROUP BY HOP(rt, INTERVAL '4' SECOND, INTERVAL '12' SECOND), id HAVING COUNT(*) > 1;
