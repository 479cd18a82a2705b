CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
CREATE VIEW w AS SELECT id, COUNT(*) AS n, window_time AS wt FROM TABLE(TUMBLE(TABLE sensor, DESCRIPTOR(rt), INTERVAL '5' SECOND)) GROUP BY id, window_start, window_end, window_time;
SELECT window_start, window_end, SUM(n) AS total FROM TABLE(TUMBLE(TABLE w, DESCRIPTOR(wt), INTERVAL '20' SECOND)) GROUP BY window_start, window_end;
