CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT COUNT(*), COUNT(*) + 1, COUNT(id), SUM(1), SUM(1.5E0), MAX('x'), MIN(5), AVG(2) FROM sensor GROUP BY TUMBLE(rt, INTERVAL '1' HOUR);
