-- Prices in another currency, of generated bids.
CREATE TABLE numbers (
  n BIGINT,
  `dateTime` AS TO_TIMESTAMP_LTZ(1767225600000 + n / 10, 3),
  WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND
) WITH ('connector' = 'datagen', 'rows-per-second' = '100000000', 'fields.n.kind' = 'sequence', 'fields.n.start' = '0', 'fields.n.end' = '${last}');
CREATE VIEW bids AS
SELECT MOD(n * 7919, 9973) AS auction, MOD(n * 104729, 49999) AS bidder, MOD(n * 31, 10007) * 100 AS price, `dateTime`
FROM numbers;
CREATE TABLE results (auction BIGINT, bidder BIGINT, price DECIMAL(23, 3), `dateTime` TIMESTAMP_LTZ(3)) WITH (${sink});
INSERT INTO results SELECT auction, bidder, 0.908 * price AS price, `dateTime` FROM bids;
