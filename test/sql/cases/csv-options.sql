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
SELECT id, customer, placed, amount, note, CHAR_LENGTH(note) FROM orders;
