CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
CREATE TABLE late (
  k STRING,
  ts TIMESTAMP(3),
  v INT,
  WATERMARK FOR ts AS ts - INTERVAL '3' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/late.csv', 'format' = 'csv');
CREATE VIEW both_ AS SELECT id AS k, rt, temperature AS v FROM sensor UNION ALL SELECT id, rt, 0.5 FROM sensor;
SELECT window_start, k, COUNT(*), SUM(v) FROM TABLE(TUMBLE(TABLE both_, DESCRIPTOR(rt), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k;
