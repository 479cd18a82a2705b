CREATE TABLE t (
  id STRING NOT NULL,
  ts BIGINT NOT NULL,
  n INT NOT NULL,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/room.csv', 'format' = 'csv');
CREATE TABLE ends (id STRING, low DECIMAL(4, 4), high DECIMAL(4, 4), wide DECIMAL(20, 19), present BIGINT) WITH ('connector' = 'filesystem', 'path' = '${out}/ends', 'format' = 'csv');
CREATE TABLE each_row (id STRING, n INT, p DECIMAL(4, 4), absent BOOLEAN) WITH ('connector' = 'filesystem', 'path' = '${out}/each', 'format' = 'csv');
EXECUTE STATEMENT SET BEGIN
INSERT INTO ends SELECT id, MIN(CAST(n AS DECIMAL(4, 4))), MAX(CAST(n AS DECIMAL(4, 4))), MAX(CAST(n AS DECIMAL(20, 19))), COUNT(CAST(n AS DECIMAL(4, 4))) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(rt), INTERVAL '10' SECOND)) GROUP BY id, window_start, window_end;
INSERT INTO each_row SELECT id, n, CAST(n AS DECIMAL(4, 4)), CAST(n AS DECIMAL(4, 4)) IS NULL FROM t;
END;
