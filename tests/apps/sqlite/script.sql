.mode list
.headers on
PRAGMA journal_mode=WAL;
CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INT);
CREATE INDEX person_age ON person(age);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 20000)
INSERT INTO person SELECT i, 'name ' || (i * 7919 % 20011), i % 97 FROM n;
COMMIT;
SELECT count(*), sum(age), min(name), max(name) FROM person;
SELECT age, count(*) FROM person GROUP BY age HAVING age > 90 ORDER BY age;
EXPLAIN QUERY PLAN SELECT * FROM person WHERE age = 5;
BEGIN;
DELETE FROM person WHERE age < 50;
ROLLBACK;
UPDATE person SET name = upper(name) WHERE age = 3;
SELECT count(*) FROM person WHERE name GLOB 'NAME*';
CREATE TABLE pair(a INT REFERENCES person(id), b TEXT UNIQUE);
INSERT INTO pair VALUES (1, 'x'), (2, 'y');
INSERT INTO pair VALUES (3, 'x');
SELECT p.name, q.b FROM person p JOIN pair q ON p.id = q.a ORDER BY 1;
CREATE VIRTUAL TABLE words USING fts5(text);
INSERT INTO words VALUES ('the quick brown fox'), ('a lazy dog'), ('quick dogs');
SELECT text FROM words WHERE words MATCH 'quick' ORDER BY rowid;
SELECT json_extract('{"a":[1,2,{"b":3}]}', '$.a[2].b'), printf('%.3f', 2.0/3), hex(zeroblob(4));
ATTACH '/tmp/other.db' AS other;
CREATE TABLE other.copy AS SELECT * FROM person WHERE id % 100 = 0;
SELECT count(*), total(age) FROM other.copy;
DETACH other;
PRAGMA integrity_check;
VACUUM;
.dump pair
.backup /tmp/backup.db
.open /tmp/backup.db
SELECT count(*) FROM person;
SELECT nothing FROM nowhere;
.exit 3
