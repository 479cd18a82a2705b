CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
CREATE VIEW small AS SELECT id, COUNT(*) AS n, TUMBLE_ROWTIME(rt, INTERVAL '5' SECOND) AS wt FROM sensor GROUP BY id, TUMBLE(rt, INTERVAL '5' SECOND);
SELECT TUMBLE_START(wt, INTERVAL '20' SECOND), SUM(n), COUNT(*) FROM small GROUP BY TUMBLE(wt, INTERVAL '20' SECOND);
