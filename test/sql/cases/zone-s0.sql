SET 'table.local-time-zone' = 'Asia/Shanghai';
CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT id, rt, FROM_UNIXTIME(ts), CAST(TO_TIMESTAMP_LTZ(ts, 0) AS STRING), CAST(rt AS TIMESTAMP_LTZ(3)), DATE_FORMAT(TO_TIMESTAMP_LTZ(ts, 0), 'HH:mm'), EXTRACT(HOUR FROM TO_TIMESTAMP_LTZ(ts, 0)), UNIX_TIMESTAMP(CAST(rt AS STRING)), TO_TIMESTAMP_LTZ(ts, 0) FROM sensor;
