CREATE TABLE late (
  k STRING,
  ts TIMESTAMP(3),
  v INT,
  WATERMARK FOR ts AS ts - INTERVAL '3' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/late.csv', 'format' = 'csv');
SELECT HOP_START(ts, INTERVAL '5' SECOND, INTERVAL '10' SECOND), k, COUNT(*), SUM(v) FROM late GROUP BY HOP(ts, INTERVAL '5' SECOND, INTERVAL '10' SECOND), k;
