CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT id, AVG(CAST(temperature AS INT)) AS a, SUM(CAST(temperature AS INT)) AS s, COUNT(temperature) FROM TABLE(TUMBLE(TABLE sensor, DESCRIPTOR(rt), INTERVAL '1' MINUTE)) GROUP BY id, window_start, window_end;
