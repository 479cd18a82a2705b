CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT id, HOP_START(rt, INTERVAL '5' SECOND, INTERVAL '10' SECOND) AS s, COUNT(*) AS n FROM sensor GROUP BY HOP(rt, INTERVAL '5' SECOND, INTERVAL '10' SECOND), id;
