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
CREATE TABLE a (x BIGINT, y STRING, z DOUBLE) WITH ('connector' = 'filesystem', 'path' = '${out}/a', 'format' = 'json');
CREATE TABLE b (x DECIMAL(12, 2), y STRING) WITH ('connector' = 'filesystem', 'path' = '${out}/b', 'format' = 'csv');
EXECUTE STATEMENT SET BEGIN
INSERT INTO a (y, x) SELECT s, i FROM t WHERE id < 4;
INSERT INTO a SELECT id, 'whole', id FROM t;
INSERT INTO b (y) VALUES ('only y'), ('another');
INSERT INTO b SELECT l, s FROM t WHERE id = 1 UNION ALL SELECT m, 'm' FROM t WHERE m > 0;
END;
