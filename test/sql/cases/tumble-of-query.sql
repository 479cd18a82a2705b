CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
WITH hot AS (SELECT id, temperature, rt FROM sensor WHERE temperature > 20)
SELECT window_start, COUNT(*), SUM(n) FROM (
  SELECT window_start, window_end, id, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE hot, DESCRIPTOR(rt), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, id
) GROUP BY window_start, window_end;
