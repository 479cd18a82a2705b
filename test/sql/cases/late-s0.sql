CREATE TABLE late (
  k STRING,
  ts TIMESTAMP(3),
  v INT,
  WATERMARK FOR ts AS ts - INTERVAL '3' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/late.csv', 'format' = 'csv');
SELECT TUMBLE_START(ts, INTERVAL '5' SECOND), k, COUNT(*), SUM(v), MAX(v) FROM late GROUP BY TUMBLE(ts, INTERVAL '5' SECOND), k;
