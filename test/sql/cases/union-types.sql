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
CREATE TABLE orders (
  id INT,
  customer STRING,
  placed TIMESTAMP(3),
  amount DECIMAL(10, 2),
  note STRING,
  WATERMARK FOR placed AS placed - INTERVAL '2' SECOND
) WITH (
  'connector' = 'filesystem', 'path' = '${data}/orders.csv', 'format' = 'csv', 'csv.field-delimiter' = '|', 'csv.quote-character' = '''',
  'csv.allow-comments' = 'true', 'csv.null-literal' = 'N/A'
);
SELECT i AS n, s AS label FROM t UNION ALL SELECT l, 'long' FROM t UNION ALL SELECT amount, customer FROM orders UNION ALL SELECT 1, CAST(NULL AS STRING) UNION ALL SELECT * FROM (VALUES (1.25, 'dec'), (2, 'int')) AS v(a, b);
