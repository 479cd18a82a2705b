CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT window_start, COUNT(*) FILTER (WHERE temperature > 32) AS hot, SUM(temperature) FILTER (WHERE id = 'sensor_1') AS s1, COUNT(*) * 2 + 1 FROM TABLE(TUMBLE(TABLE sensor, DESCRIPTOR(rt), INTERVAL '10' SECOND)) GROUP BY window_start, window_end;
