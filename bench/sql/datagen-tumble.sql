-- Generated bids per auction in windows of 10 s.
CREATE TABLE numbers (
  n BIGINT,
  `dateTime` AS TO_TIMESTAMP_LTZ(1767225600000 + n / 10, 3),
  WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND
) WITH ('connector' = 'datagen', 'rows-per-second' = '100000000', 'fields.n.kind' = 'sequence', 'fields.n.start' = '0', 'fields.n.end' = '${last}');
CREATE VIEW bids AS
SELECT MOD(n * 7919, 9973) AS auction, MOD(n * 104729, 49999) AS bidder, MOD(n * 31, 10007) * 100 AS price, `dateTime`
FROM numbers;
CREATE TABLE results (window_start TIMESTAMP(3), window_end TIMESTAMP(3), auction BIGINT, num BIGINT) WITH (${sink});
INSERT INTO results
SELECT window_start, window_end, auction, COUNT(*) AS num
FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND))
GROUP BY window_start, window_end, auction;
