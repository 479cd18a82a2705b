CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT UPPER(id), ts % 2, COUNT(*), MAX(id) FROM TABLE(TUMBLE(TABLE sensor, DESCRIPTOR(rt), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, UPPER(id), ts % 2;
