CREATE TABLE n (
  id INT, b BOOLEAN, i INT, l BIGINT, d DOUBLE, m DECIMAL(10, 3), s STRING, dt DATE,
  at1 AS TO_TIMESTAMP(FROM_UNIXTIME(id)),
  WATERMARK FOR at1 AS at1
) WITH ('connector' = 'filesystem', 'path' = '${data}/values.json', 'format' = 'json');
SELECT window_end, COUNT(i), SUM(i), AVG(i), MIN(i), MAX(i), SUM(d), AVG(d), SUM(m), AVG(m), MIN(s), MAX(s), MIN(dt), MAX(dt), SUM(l), MIN(l), MIN(b), MAX(b), COUNT(*) FROM TABLE(TUMBLE(TABLE n, DESCRIPTOR(at1), INTERVAL '1' SECOND)) GROUP BY window_start, window_end;
