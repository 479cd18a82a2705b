SET 'table.local-time-zone' = 'Asia/Shanghai';
CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP_LTZ(ts, 0),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT window_start, window_end, window_time, id, COUNT(*), MAX(rt) FROM TABLE(TUMBLE(TABLE sensor, DESCRIPTOR(rt), INTERVAL '1' DAY)) GROUP BY window_start, window_end, window_time, id;
