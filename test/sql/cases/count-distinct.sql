CREATE TABLE t (
  id STRING,
  ts BIGINT,
  i INT,
  b BIGINT,
  d DOUBLE,
  f FLOAT,
  p DECIMAL(10, 2),
  w DECIMAL(38, 10),
  s STRING,
  ti TINYINT,
  si SMALLINT,
  o BOOLEAN,
  dt DATE,
  tm TIME(0),
  x TIMESTAMP(3),
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/aggregates.csv', 'format' = 'csv', 'csv.null-literal' = '');
SELECT id, window_end, COUNT(DISTINCT i), COUNT(DISTINCT b), COUNT(DISTINCT d), COUNT(DISTINCT p), COUNT(DISTINCT w), COUNT(DISTINCT s), COUNT(DISTINCT o), COUNT(DISTINCT dt), COUNT(DISTINCT x), COUNT(*) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(rt), INTERVAL '10' SECOND)) GROUP BY id, window_start, window_end;
