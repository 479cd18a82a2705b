SET 'table.local-time-zone' = 'America/New_York';
CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP_LTZ(ts, 0),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT id, TUMBLE_START(rt, INTERVAL '1' DAY), TUMBLE_END(rt, INTERVAL '1' DAY), TUMBLE_ROWTIME(rt, INTERVAL '1' DAY), COUNT(*) FROM sensor GROUP BY id, TUMBLE(rt, INTERVAL '1' DAY);
