CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT id, window_start, window_time, COUNT(*) AS n, MIN(temperature), MAX(ts), AVG(ts) FROM TABLE(HOP(TABLE sensor, DESCRIPTOR(rt), INTERVAL '5' SECOND, INTERVAL '15' SECOND, INTERVAL '2' SECOND)) GROUP BY id, window_start, window_end, window_time HAVING SUM(temperature) > 35;
