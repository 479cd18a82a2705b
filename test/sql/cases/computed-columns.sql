CREATE TABLE t (
  id INT,
  doubled AS id * 2,
  s STRING,
  shout AS UPPER(s) || '!',
  l BIGINT,
  ts TIMESTAMP(3),
  `hour` AS EXTRACT(HOUR FROM ts),
  r ROW<x INT, y STRING>,
  x1 AS r.x + 1,
  sized AS CASE WHEN l > 9007199254740992 THEN 'big' ELSE 'small' END
) WITH ('connector' = 'filesystem', 'path' = '${data}/values.json', 'format' = 'json');
SELECT id, doubled, s, shout, l, ts, `hour`, x1, sized FROM t WHERE doubled < 9;
