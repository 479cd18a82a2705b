-- Several INSERTs are one job; what each wrote is compared.
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
CREATE TABLE as_json (id INT, l BIGINT, m DECIMAL(10, 3), s STRING, `at` TIMESTAMP(3), `day` DATE, b BOOLEAN, d DOUBLE) WITH (
  'connector' = 'filesystem', 'path' = '${out}/json', 'format' = 'json'
);
CREATE TABLE as_csv (id INT, l BIGINT, m DECIMAL(10, 3), s STRING, `at` TIMESTAMP(3), `day` DATE, b BOOLEAN, d DOUBLE) WITH (
  'connector' = 'filesystem', 'path' = '${out}/csv', 'format' = 'csv'
);
CREATE TABLE as_piped (who STRING, total DECIMAL(10, 2), note STRING) WITH (
  'connector' = 'filesystem', 'path' = '${out}/piped', 'format' = 'csv', 'csv.field-delimiter' = '|', 'csv.null-literal' = '-', 'csv.quote-character' = ''''
);
CREATE TABLE as_iso (id INT, amount DECIMAL(10, 2), placed TIMESTAMP(3), note STRING) WITH (
  'connector' = 'filesystem', 'path' = '${out}/iso', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601',
  'json.encode.ignore-null-fields' = 'true'
);
INSERT INTO as_json SELECT id, l, m, s, ts, dt, b, d FROM t;
INSERT INTO as_csv SELECT id, l, m, s, ts, dt, b, d FROM t;
INSERT INTO as_piped SELECT customer, amount, note FROM orders;
INSERT INTO as_iso SELECT id, amount, placed, note FROM orders WHERE amount > 0;
