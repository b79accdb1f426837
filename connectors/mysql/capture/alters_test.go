package capture_test

import (
	"database/sql"
	"fmt"
	"strings"
)

// alters alters a table.
func (c *chronicle) alters(s *sql.Conn, table string) {
	c.mayLose(table)
	for range 1 + c.r.IntN(2) {
		if parts := c.altered(table); parts != "" {
			c.run(s, c.written("ALTER "+pick(c.r, "", "", "", "IGNORE ")+"TABLE ", c.called(table)+" "+parts))
			delete(c.columns, table)
		}
		if c.often(40) {
			c.run(s, c.plain())
		}
	}
	if c.often(15) {
		c.exchange(s, table)
	}
}

// written writes a statement in one of the ways that people and programs have.
func (c *chronicle) written(begin, rest string) string {
	if !c.maria {
		begin = strings.Replace(begin, "IGNORE ", "", 1)
	}
	switch c.r.IntN(9) {
	case 0:
		begin = strings.Replace(begin, "TABLE", "/*!50000 TABLE*/", 1)
	case 1:
		begin = "/* ALTER TABLE x */ " + begin + "-- x\n"
	case 2:
		begin = strings.ToLower(begin) + " # ; DROP\n "
	case 3:
		begin += "/*!999999 x COMMENT */ "
		if c.maria {
			begin += "/*!50701 x */ /*M!999999 y */ /*M! */"
		}
	case 4:
		if c.maria {
			begin = "SET STATEMENT max_statement_time = 100, sql_mode = 'STRICT_TRANS_TABLES' FOR " + begin
		}
	case 5:
		rest = strings.Replace(rest, " ", " /*! */\t\n", 1)
	}
	return begin + rest
}

// altered returns the parts of an ALTER.
func (c *chronicle) altered(table string) string {
	columns := c.of(table)
	if len(columns) == 0 {
		return ""
	}
	one, other := pick(c.r, columns...), pick(c.r, columns...)
	k, j, n := quote(one.name), quote(other.name), quote(c.fresh("n"))
	at := pick(c.r, "", "", " FIRST", " AFTER "+k)
	how := pick(c.r, "", "", "", ", ALGORITHM=INSTANT", ", ALGORITHM=COPY", ", ALGORITHM=INPLACE", ", ADD INDEX ("+k+")", ", COMMENT 'x'")
	kind := func(k column) string {
		if k.null {
			return k.full
		}
		return k.full + " NOT NULL"
	}
	switch c.r.IntN(33) {
	case 0, 1, 2, 3, 4:
		return pick(c.r, "ADD COLUMN ", "ADD ") + n + " " + c.kind(true) + at + how
	case 5, 6:
		return "ADD " + n + " " + c.defined(true) + at + how
	case 7:
		return "DROP COLUMN " + k + how
	case 8:
		return "RENAME COLUMN " + k + " TO " + n
	case 9:
		return "CHANGE " + k + " " + pick(c.r, n, k) + " " + pick(c.r, kind(one), c.kind(true)) + at
	case 10:
		return "MODIFY " + k + " " + pick(c.r, kind(one), one.full, c.kind(true)) + pick(c.r, "", " FIRST", " AFTER "+j)
	case 11:
		return "CHANGE " + k + " " + j + " " + kind(one) + ", CHANGE " + j + " " + k + " " + kind(other)
	case 12:
		return "DROP COLUMN " + k + ", ADD COLUMN " + k + " " + one.full + at
	case 13:
		return "ALTER " + k + " " + pick(c.r, "SET DEFAULT NULL", "DROP DEFAULT", "SET DEFAULT 7", "SET DEFAULT '2'")
	case 14:
		return "CONVERT TO CHARACTER SET " + pick(c.r, "latin1", "utf8mb4", "utf8mb3")
	case 15:
		return "ENGINE=" + pick(c.r, "InnoDB", "InnoDB", "MyISAM", "MEMORY")
	case 16:
		return pick(c.r, "DROP PRIMARY KEY", "ADD PRIMARY KEY ("+k+")", "DROP PRIMARY KEY, ADD PRIMARY KEY ("+k+", "+j+")", "ADD UNIQUE ("+k+")")
	case 17:
		return "PARTITION BY " + pick(c.r, "HASH (id) PARTITIONS 3", "RANGE (id) (PARTITION p0 VALUES LESS THAN (5), PARTITION p1 VALUES LESS THAN (10), PARTITION p2 VALUES LESS THAN MAXVALUE)")
	case 18, 19:
		return pick(c.r, "TRUNCATE PARTITION ALL", "TRUNCATE PARTITION p1", "DROP PARTITION p0", "REORGANIZE PARTITION p0, p1 INTO (PARTITION p1 VALUES LESS THAN (10))", "COALESCE PARTITION 1", "ADD PARTITION PARTITIONS 2", "REMOVE PARTITIONING",
			"ANALYZE PARTITION ALL", "REBUILD PARTITION p0", "OPTIMIZE PARTITION p1", "REPAIR PARTITION p0", "CHECK PARTITION ALL")
	case 20:
		if c.maria {
			return pick(c.r, "DROP COLUMN IF EXISTS "+k, "DROP COLUMN IF EXISTS gone", "ADD COLUMN IF NOT EXISTS "+k+" int", "ADD COLUMN IF NOT EXISTS "+n+" int", "CHANGE COLUMN IF EXISTS gone "+n+" int", "DROP INDEX IF EXISTS gone")
		}
	case 21:
		if c.maria {
			return pick(c.r, "ADD SYSTEM VERSIONING", "DROP SYSTEM VERSIONING")
		}
	case 22:
		return "ADD COLUMN " + n + " " + c.expression(k, one.data) + at
	case 23:
		return "ADD (" + n + " int, " + quote(c.fresh("n")) + " varchar(9))"
	case 24:
		return "ADD " + n + " int, ADD " + quote(c.fresh("n")) + " " + c.defined(true) + at
	case 25:
		return "ADD " + n + " int, ALTER " + k + " DROP DEFAULT, RENAME INDEX x TO y"
	case 26:
		return "ADD CONSTRAINT CHECK (" + k + " IS NOT NULL OR 1)"
	case 27:
		return "ORDER BY " + k
	case 28:
		return "DROP " + k + ", ADD " + n + " " + one.full
	}
	if c.maria {
		return pick(c.r, "ADD "+n+" date, ADD "+n+"x date", "ADD "+n+" int INVISIBLE", "CONVERT PARTITION p0 TO TABLE "+n, "ADD COLUMN "+n+" int WITHOUT SYSTEM VERSIONING", "ALTER INDEX u IGNORED", "ADD PERIOD FOR SYSTEM_TIME (a, b)", "ADD "+n+" serial", "WAIT 1 ADD "+n+" int", "NOWAIT DROP "+k, "DISABLE KEYS", "ENABLE KEYS", "DISCARD TABLESPACE, ADD "+n+" int")
	}
	return pick(c.r, "ALTER COLUMN "+k+" SET INVISIBLE", "ADD "+n+" int INVISIBLE", "ADD "+n+" int DEFAULT (id)", "ADD INDEX (("+k+" + 1))", "DROP COLUMN "+k+", ADD COLUMN "+n+" int, ALGORITHM=INSTANT", "DISABLE KEYS", "ADD "+n+" serial")
}

// exchange has a partition take the place of a table, which then is put in its place.
func (c *chronicle) exchange(s *sql.Conn, table string) {
	x := quote(c.fresh("e"))
	columns := list(c.some(table))
	c.run(s, "ALTER TABLE "+c.called(table)+" PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (5), PARTITION p1 VALUES LESS THAN MAXVALUE)")
	c.run(s, fmt.Sprintf("CREATE TABLE %[1]s LIKE %[2]s; ALTER TABLE %[1]s REMOVE PARTITIONING; INSERT IGNORE INTO %[1]s (%[3]s) SELECT %[3]s FROM %[2]s WHERE id < 5 LIMIT 1; ALTER TABLE %[2]s EXCHANGE PARTITION p0 WITH TABLE %[1]s", x, c.called(table), columns))
}

// keys is a foreign key by which the server changes rows, or may not.
func (c *chronicle) keys(s *sql.Conn, table string) {
	other := c.table()
	c.mayLose(table)
	if columns := c.of(table); len(columns) > 0 {
		k := quote(pick(c.r, columns...).name)
		x := c.fresh("k")
		c.run(s, "ALTER TABLE "+c.called(table)+" ADD CONSTRAINT "+x+" FOREIGN KEY ("+k+") REFERENCES "+c.called(other)+" (id) ON DELETE "+pick(c.r, "CASCADE", "SET NULL", "RESTRICT")+" ON UPDATE "+pick(c.r, "CASCADE", "SET NULL", "NO ACTION"))
		c.run(s, "DELETE FROM "+c.called(other)+" LIMIT 1")
		c.run(s, "UPDATE "+c.called(other)+" SET "+fmt.Sprint(c.sets(other, "", true)))
		if c.often(60) {
			c.run(s, "ALTER TABLE "+c.called(table)+" DROP FOREIGN KEY "+x)
		}
	}
}
