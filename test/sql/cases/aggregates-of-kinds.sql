CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT SUM(CAST(temperature AS FLOAT)), AVG(CAST(ts AS SMALLINT)), SUM(CAST(ts AS INT) * 2), MAX(CAST(rt AS DATE)), MIN(CAST(rt AS TIME)), MAX(rt), MAX(CAST(id AS CHAR(3))) FROM sensor GROUP BY TUMBLE(rt, INTERVAL '1' HOUR);
