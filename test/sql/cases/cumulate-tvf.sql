CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT window_start, window_end, id, COUNT(*) AS n, SUM(temperature) AS s FROM TABLE(CUMULATE(TABLE sensor, DESCRIPTOR(rt), INTERVAL '5' SECOND, INTERVAL '20' SECOND)) GROUP BY id, window_start, window_end;
