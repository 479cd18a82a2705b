SELECT a, b, a + 1 FROM (VALUES (1, 'x'), (2, 'yyy'), (3, CAST(NULL AS STRING))) AS v(a, b);
