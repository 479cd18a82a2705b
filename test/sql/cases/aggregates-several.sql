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
SELECT window_start, COUNT(*), COUNT(customer), COUNT(note), SUM(amount), AVG(amount), MIN(amount), MAX(amount), MIN(customer), MAX(note), MIN(placed), MAX(id), SUM(id), AVG(id), SUM(CAST(amount AS DOUBLE)), SUM(CASE WHEN amount > 10 THEN 1 ELSE 0 END), MAX(amount) - MIN(amount), COUNT(*) FILTER (WHERE customer = 'anna') FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(placed), INTERVAL '10' SECOND)) GROUP BY window_start, window_end;
