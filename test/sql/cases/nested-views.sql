CREATE TABLE t (
  id INT,
  b BOOLEAN,
  i INT,
  l BIGINT,
  d DOUBLE,
  m DECIMAL(10, 3),
  s STRING,
  dt DATE,
  ts TIMESTAMP(3),
  r ROW<x INT, y STRING>
) WITH ('connector' = 'filesystem', 'path' = '${data}/values.json', 'format' = 'json');
CREATE VIEW v1 AS SELECT id, i, s FROM t WHERE id <> 3;
CREATE TEMPORARY VIEW v2 (k, twice, name) AS SELECT id, i * 2, UPPER(s) FROM v1;
CREATE VIEW IF NOT EXISTS v3 AS SELECT k, twice / 2 AS half, name || '!' AS loud FROM v2 WHERE twice IS NOT NULL;
CREATE VIEW IF NOT EXISTS v3 AS SELECT 1 AS uno;
CREATE VIEW gone AS SELECT 1 AS uno;
DROP VIEW gone;
SELECT * FROM default_catalog.default_database.v3 AS x WHERE x.half > -100 AND loud LIKE '%!';
