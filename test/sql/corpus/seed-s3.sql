-- S3 counts daily users from Kafka; its table has a watermark by the clock.
CREATE TABLE ubt_start (
  user_id STRING,
  device_id STRING,
  event_time BIGINT,
  ts AS LOCALTIMESTAMP,
  WATERMARK FOR ts AS LOCALTIMESTAMP - INTERVAL '1' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = 'ubt_start',
  'properties.bootstrap.servers' = 'kafka-1:9092,kafka-2:9092',
  'properties.group.id' = 'dau',
  'scan.startup.mode' = 'group-offsets',
  'scan.topic-partition-discovery.interval' = '30 s',
  'format' = 'json'
);
SELECT DATE_FORMAT(ts, 'yyyy-MM-dd') AS `day`, COUNT(DISTINCT user_id) AS dau FROM ubt_start GROUP BY DATE_FORMAT(ts, 'yyyy-MM-dd');
SELECT window_start, COUNT(DISTINCT user_id) FROM TABLE(CUMULATE(TABLE ubt_start, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' DAY)) GROUP BY window_start, window_end;
