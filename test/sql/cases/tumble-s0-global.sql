CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT TUMBLE_END(rt, INTERVAL '10' SECOND) AS w, COUNT(*) AS n, SUM(temperature) AS s FROM sensor GROUP BY TUMBLE(rt, INTERVAL '10' SECOND);
