CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT w.window_start, w.id, MAX(w.temperature) FROM TABLE(TUMBLE(TABLE sensor, DESCRIPTOR(rt), INTERVAL '20' SECOND)) AS w GROUP BY w.window_start, w.window_end, w.id;
