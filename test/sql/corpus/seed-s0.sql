-- S0's statements, verbatim.
create table jdbcOutputTable (
  id varchar(20) not null,
  cnt bigint not null
) with (
  'connector.type' = 'jdbc',
  'connector.url' = 'jdbc:mysql://hadoop102:3306/test',
  'connector.table' = 'student_count',
  'connector.driver' = 'com.mysql.jdbc.Driver',
  'connector.username' = 'root',
  'connector.password' = '123456'
);
create table dataTable (
  id varchar(20) not null,
  ts bigint,
  temperature double,
  pt AS PROCTIME()
) with (
  'connector.type' = 'filesystem',
  'connector.path' = 'file:///D:\\..\\sensor.txt',
  'format.type' = 'csv'
);
create table dataTable (
  id varchar(20) not null,
  ts bigint,
  temperature double,
  rt AS TO_TIMESTAMP( FROM_UNIXTIME(ts) ),
  watermark for rt as rt - interval '1' second
) with (
  'connector.type' = 'filesystem',
  'connector.path' = 'file:///D:\\..\\sensor.txt',
  'format.type' = 'csv'
);
select id, avg(score) as avg_score from table01 group by id;
select id, score, addScore(score) as new_score from table01;
select id, word, length
from
sensor, LATERAL TABLE(split(id)) AS newsensor(word, length);
SELECT id, word, length
FROM
sensor
  LEFT JOIN 
  LATERAL TABLE(split(id)) AS newsensor(word, length) 
  ON TRUE;
select id, count(*) from sensor group by tumble(rt, interval '10' second), id;
select id, tumble_start(rt, interval '10' second), tumble_end(rt, interval '10' second), tumble_rowtime(rt, interval '10' second), count(id) from dataTable group by id, tumble(rt, interval '10' second);
select id, hop_start(rt, interval '5' second, interval '10' second), count(*) from dataTable group by id, hop(rt, interval '5' second, interval '10' second);
select id, session_start(rt, interval '3' second), count(*) from dataTable group by id, session(rt, interval '3' second);
select 1 = 1, 2 > 1, (1 = 2) is false, not true, power(2, 10), 'a' || 'b', upper('abc'), char_length('sensor_1');
select DATE '2021-07-01', TIMESTAMP '2021-07-01 15:24:25', CURRENT_TIME, INTERVAL '10' DAY, INTERVAL '10:30' HOUR TO MINUTE, INTERVAL '1-6' YEAR TO MONTH;
select count(*), sum(score), sum(all score), sum(distinct score) from student;
select id, rank() over (partition by id order by rt), row_number() over (partition by id order by rt) from dataTable;
select id, avg(temperature) over (partition by id order by rt rows between 2 preceding and current row) from dataTable;
select id, count(*) over w from dataTable window w as (partition by id order by rt range between interval '5' second preceding and current row);
