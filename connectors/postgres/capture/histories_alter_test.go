package capture_test

import (
	"fmt"
	"strings"
)

// soon has a statement come some steps later.
func (g *generator) soon(statement string) {
	g.later = append(g.later, later{g.n + 1 + g.IntN(6), "0 " + statement})
}

// chain has statements come one after the other, and returns the first.
func (g *generator) chain(first string, more ...string) string {
	due := g.n
	for _, statement := range more {
		due += 1 + g.IntN(2)
		g.later = append(g.later, later{due, "0 " + statement})
	}
	return first
}

// fresh returns a new name.
func (g *generator) fresh(of string) string { g.made++; return fmt.Sprintf("%s%d", of, g.made) }

// alter returns a statement that changes more than rows, and has what undoes it come later.
func (g *generator) alter() string {
	r := g.look(g.pick())
	t, c := "@."+r.Name, g.rest(r)
	in := "0 "
	if at := 1 + g.IntN(2); g.p.open[at] && !g.p.broken[at] && g.IntN(2) == 0 {
		in = fmt.Sprintf("%d ", at)
	}
	groups := []func() string{
		func() string { return g.columns(t, c) }, func() string { return g.columns(t, c) }, func() string { return g.retyped(t, c) }, func() string { return g.named(r, t) }, func() string { return g.emptied(r, t) },
		func() string { return g.emptied(r, t) }, func() string { return g.rewritten(r, t) }, func() string { return g.published(r, t) }, func() string { return g.types() }, func() string { return g.triggered(t) },
		func() string { return g.replaced(r, t) }, func() string { return g.identity(r, t) },
	}
	if len(r.Leaves)+len(r.Apart) > 0 {
		partitions := func() string { return g.partitions(r, t) }
		groups = append(groups, partitions, partitions, partitions, partitions)
	}
	statement := one(g, groups...)()
	if g.IntN(12) == 0 && !strings.HasPrefix(statement, "BEGIN") && !strings.Contains(statement, "$") {
		return in + fmt.Sprintf("DO $$BEGIN %s;RAISE division_by_zero;EXCEPTION WHEN division_by_zero THEN %s;END$$", statement, one(g, "NULL", "DELETE FROM "+t+" WHERE id < 5"))
	}
	return in + statement
}

// columns adds, drops and renames columns.
func (g *generator) columns(t string, c column) string {
	switch g.IntN(12) {
	case 0, 1, 2:
		return fmt.Sprintf("ALTER TABLE %s ADD %s %s", t, one(g, g.fresh("x"), "x", "y"), one(g, "int", "text", "int DEFAULT 7", "uuid DEFAULT gen_random_uuid()", "int NOT NULL DEFAULT 3", "@.mood", "@.pct DEFAULT 4", "timestamptz DEFAULT now()", "int GENERATED ALWAYS AS IDENTITY", "bigint"))
	case 3, 4:
		again := []string{
			fmt.Sprintf("ALTER TABLE %s ADD %s %s", t, c.Name, c.Type), fmt.Sprintf("UPDATE %s SET %s = %s WHERE id < %d", t, c.Name, g.value(c), g.IntN(20)), fmt.Sprintf("ALTER TABLE %s DROP %s", t, c.Name), fmt.Sprintf("ALTER TABLE %s ADD %s %s", t, c.Name, c.Type),
		}
		return g.chain(fmt.Sprintf("ALTER TABLE %s DROP %s", t, c.Name), again[:one(g, 0, 2, 4)]...)
	case 5:
		back := fmt.Sprintf("ALTER TABLE %s RENAME %s_r TO %[2]s", t, c.Name)
		between := []string{
			fmt.Sprintf("ALTER TABLE %s ADD %s %s", t, c.Name, c.Type), fmt.Sprintf("UPDATE %s SET %s = %s WHERE id < %d", t, c.Name, g.value(c), g.IntN(20)), fmt.Sprintf("ALTER TABLE %s DROP %s", t, c.Name), back,
		}
		return g.chain(fmt.Sprintf("ALTER TABLE %s RENAME %s TO %[2]s_r", t, c.Name), one(g, between, between, between[3:])...)
	case 6:
		return fmt.Sprintf("ALTER TABLE %s RENAME %s TO %s", t, c.Name, one(g, g.fresh("v"), "x", "y"))
	case 7:
		return fmt.Sprintf("ALTER TABLE %s ALTER %s SET DEFAULT %s", t, c.Name, g.value(c))
	case 8:
		return fmt.Sprintf("ALTER TABLE %s ALTER %s %s", t, c.Name, one(g, "DROP DEFAULT", "SET NOT NULL", "DROP NOT NULL", "SET STATISTICS 10", "SET STORAGE EXTERNAL", "SET STORAGE PLAIN"))
	case 9:
		return fmt.Sprintf("ALTER TABLE %s ADD x%d int DEFAULT 7, DROP %s", t, g.IntN(3), c.Name)
	case 10:
		return fmt.Sprintf("ALTER TABLE %[1]s DROP %[2]s, ADD %[2]s %[3]s", t, c.Name, c.Type)
	}
	return fmt.Sprintf("ALTER TABLE %s %s", t, one(g, "SET (fillfactor = 50)", "ADD CHECK (id IS NOT NULL)", "SET (autovacuum_enabled = off)", "ADD gen2 int GENERATED ALWAYS AS (id * 2) STORED", "DROP COLUMN IF EXISTS gen2"))
}

// retyped changes the type of a column.
func (g *generator) retyped(t string, c column) string {
	using := map[string]string{"integer": "%[1]s + 1", "text": "upper(%[1]s) || 'u'", "bigint": "-%[1]s", "boolean": "NOT %[1]s", "@.mood": "'ok'::@.mood", "integer[]": "%[1]s || 5"}[c.Type]
	if using == "" || g.IntN(2) == 0 {
		return fmt.Sprintf("ALTER TABLE %s ALTER %s TYPE %s", t, c.Name, map[string]string{"integer": "bigint", "bigint": "numeric", "text": "varchar", "@.mood": "text", "@.pct": "int", "numeric(9,2)": "numeric(12,2)", "character varying(20)": one(g, "varchar(30)", "text")}[c.Type])
	}
	return fmt.Sprintf("ALTER TABLE %s ALTER %s TYPE %s USING "+fmt.Sprintf(using, c.Name), t, c.Name, c.Type)
}

// named gives a table another name or schema, and its own later.
func (g *generator) named(r relation, t string) string {
	other := one(g, g.names...)
	switch g.IntN(8) {
	case 6:
		return g.chain(fmt.Sprintf("CREATE TABLE %s_top (LIKE %[1]s INCLUDING DEFAULTS INCLUDING GENERATED) PARTITION BY RANGE (id)", t), fmt.Sprintf("ALTER TABLE %s_top ATTACH PARTITION %[1]s DEFAULT", t),
			fmt.Sprintf("INSERT INTO %s_top (id) VALUES (%d)", t, g.IntN(20)), fmt.Sprintf("ALTER TABLE %s_top DETACH PARTITION %[1]s", t), fmt.Sprintf("DROP TABLE %s_top", t))
	case 0:
		g.soon(fmt.Sprintf("ALTER TABLE %s_away RENAME TO %s", t, r.Name))
		return fmt.Sprintf("ALTER TABLE %s RENAME TO %s_away", t, r.Name)
	case 1:
		g.soon(fmt.Sprintf("ALTER TABLE @x.%s SET SCHEMA @", r.Name))
		return fmt.Sprintf("ALTER TABLE %s SET SCHEMA @x", t)
	case 2, 3:
		if other == r.Name {
			break
		}
		swap := fmt.Sprintf("BEGIN; ALTER TABLE %[1]s RENAME TO %[2]s_s; ALTER TABLE @.%[3]s RENAME TO %[2]s; ALTER TABLE %[1]s_s RENAME TO %[3]s; COMMIT", t, r.Name, other)
		g.soon(swap)
		return swap
	case 4:
		g.soon("ALTER SCHEMA @y RENAME TO @")
		return "ALTER SCHEMA @ RENAME TO @y"
	}
	copied := g.fresh(r.Name + "_new")
	return fmt.Sprintf("BEGIN; CREATE TABLE @.%[3]s (LIKE %[1]s INCLUDING ALL); INSERT INTO @.%[3]s OVERRIDING SYSTEM VALUE SELECT * FROM %[1]s; ALTER TABLE %[1]s RENAME TO %[3]s_old; ALTER TABLE @.%[3]s RENAME TO %[2]s; COMMIT", t, r.Name, copied)
}

// emptied truncates tables and partitions.
func (g *generator) emptied(r relation, t string) string {
	of := t
	if len(r.Leaves) > 0 && g.IntN(2) == 0 {
		of = "@." + one(g, r.Leaves...)
	}
	names, values := g.values(r)
	insert := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", t, names, values)
	switch g.IntN(10) {
	case 0, 1, 2:
		return "TRUNCATE " + of
	case 9:
		return fmt.Sprintf("DO $$BEGIN TRUNCATE %s;ALTER TABLE %s SET UNLOGGED;%s;ALTER TABLE %[2]s SET LOGGED;END$$", one(g, t, of), of, insert)
	case 3:
		return fmt.Sprintf("TRUNCATE %s, @.%s", of, one(g, g.names...))
	case 4:
		return fmt.Sprintf("BEGIN; TRUNCATE %s; %s; COMMIT", of, insert)
	case 5:
		return fmt.Sprintf("BEGIN; %s ON CONFLICT DO NOTHING; TRUNCATE %s; COMMIT", insert, of)
	case 6:
		return fmt.Sprintf("BEGIN; TRUNCATE %s; COPY %s (id) FROM PROGRAM 'echo 5' (FORMAT csv, FREEZE); COMMIT", of, of)
	case 7:
		return fmt.Sprintf("BEGIN; SAVEPOINT a; TRUNCATE %[1]s; ROLLBACK TO a; %[2]s ON CONFLICT DO NOTHING; TRUNCATE %[1]s; %[2]s; COMMIT", of, insert)
	}
	return fmt.Sprintf("TRUNCATE %s %s", of, one(g, "RESTART IDENTITY", "CASCADE"))
}

// rewritten has the rows be written anew as they are.
func (g *generator) rewritten(r relation, t string) string {
	of := t
	if len(r.Leaves) > 0 && g.IntN(2) == 0 {
		of = "@." + one(g, r.Leaves...)
	}
	switch g.IntN(7) {
	case 0, 1:
		return "VACUUM (FULL, FREEZE) " + of
	case 2:
		return "VACUUM FULL " + of
	case 3:
		return fmt.Sprintf("CLUSTER %s USING %s_pkey", of, strings.TrimPrefix(of, "@."))
	case 4:
		return "VACUUM FREEZE " + of
	case 5:
		return "CHECKPOINT"
	}
	g.soon(fmt.Sprintf("ALTER TABLE %s SET LOGGED", of))
	return fmt.Sprintf("ALTER TABLE %s SET UNLOGGED", of)
}

// published alters the publication by hand, and puts it right later.
func (g *generator) published(r relation, t string) string {
	all := "publish = 'insert, update, delete, truncate'"
	switch g.IntN(8) {
	case 0, 1, 2:
		g.soon(fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE %s", g.kept, t))
		return fmt.Sprintf("ALTER PUBLICATION %s DROP TABLE %s", g.kept, t)
	case 3:
		g.soon(fmt.Sprintf("ALTER PUBLICATION %s SET (%s)", g.kept, all))
		return fmt.Sprintf("ALTER PUBLICATION %s SET (publish = '%s')", g.kept, one(g, "insert", "update, delete"))
	case 4:
		g.soon(fmt.Sprintf("ALTER PUBLICATION %s SET (publish_via_partition_root = true)", g.kept))
		return fmt.Sprintf("ALTER PUBLICATION %s SET (publish_via_partition_root = false)", g.kept)
	case 5:
		g.soon(fmt.Sprintf("ALTER PUBLICATION %s_p RENAME TO %[1]s", g.kept))
		return fmt.Sprintf("ALTER PUBLICATION %s RENAME TO %[1]s_p", g.kept)
	case 6:
		if g.kept != "@" {
			of := "FOR TABLE @." + strings.Join(g.names, ", @.")
			g.soon(fmt.Sprintf("CREATE PUBLICATION %s %s WITH (publish_via_partition_root = true)", g.kept, one(g, of, of, "FOR ALL TABLES")))
			return "DROP PUBLICATION " + g.kept
		}
	}
	g.soon(fmt.Sprintf("ALTER PUBLICATION %s SET TABLE @.%s", g.kept, strings.Join(g.names, ", @.")))
	return fmt.Sprintf("ALTER PUBLICATION %s SET TABLE %s WHERE (id > 8)", g.kept, t)
}

// types alters types.
func (g *generator) types() string {
	switch g.IntN(9) {
	case 6:
		label, rows := g.fresh("l"), fmt.Sprintf("UPDATE @.%s SET m = '%%s' WHERE id < %d", g.pick(), g.IntN(20))
		return g.chain(fmt.Sprintf("ALTER TYPE @.mood RENAME VALUE 'ok' TO '%s'", label), fmt.Sprintf(rows, label), fmt.Sprintf("ALTER TYPE @.mood RENAME VALUE '%s' TO 'ok'", label))
	case 7:
		return g.chain("ALTER TYPE @.pair ADD ATTRIBUTE q int", fmt.Sprintf("UPDATE @.%s SET c = ROW(5, 'q', 6)::@.pair WHERE id < %d", g.pick(), g.IntN(20)), "ALTER TYPE @.pair DROP ATTRIBUTE q")
	case 0:
		return fmt.Sprintf("ALTER TYPE @.mood ADD VALUE '%s' %s", g.fresh("m"), one(g, "BEFORE 'ok'", "", "AFTER 'sad'"))
	case 1:
		label := g.fresh("l")
		g.soon(fmt.Sprintf("ALTER TYPE @.mood RENAME VALUE '%s' TO 'sad'", label))
		return fmt.Sprintf("ALTER TYPE @.mood RENAME VALUE 'sad' TO '%s'", label)
	case 2:
		return "ALTER TYPE @.pair ADD ATTRIBUTE z int"
	case 3:
		return "ALTER TYPE @.pair DROP ATTRIBUTE " + one(g, "z", "y")
	case 4:
		g.soon("ALTER TYPE @.pair RENAME ATTRIBUTE w TO x")
		return "ALTER TYPE @.pair RENAME ATTRIBUTE x TO w"
	case 5:
		return "ALTER DOMAIN @.pct " + one(g, "SET DEFAULT 5", "DROP DEFAULT", "ADD CHECK (VALUE < 1000)")
	}
	g.soon("ALTER TYPE @.feel RENAME TO mood")
	return "ALTER TYPE @.mood RENAME TO feel"
}

// triggered has the changes of a table write elsewhere.
func (g *generator) triggered(t string) string {
	name := g.fresh("f")
	switch g.IntN(4) {
	case 0:
		return fmt.Sprintf("ALTER TABLE %s %s TRIGGER USER", t, one(g, "DISABLE", "ENABLE"))
	case 1:
		g.soon(fmt.Sprintf("ALTER TABLE %s DISABLE ROW LEVEL SECURITY", t))
		return fmt.Sprintf("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", t)
	}
	body := fmt.Sprintf(one(g, "UPDATE @.%s SET id = id + 60 WHERE id = 4", "DELETE FROM @.%s WHERE id %% 7 = 1", "INSERT INTO @.%s (id) VALUES (77) ON CONFLICT DO NOTHING"), one(g, g.names...))
	return fmt.Sprintf("CREATE FUNCTION @.%[1]s() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF pg_trigger_depth() < 2 THEN %[2]s;END IF;RETURN NEW;END$$; CREATE TRIGGER %[1]s %[3]s ON %[4]s FOR EACH ROW EXECUTE FUNCTION @.%[1]s()", name, body, one(g, "AFTER INSERT", "AFTER UPDATE", "AFTER INSERT OR UPDATE"), t)
}

// replaced makes a table anew, or has another one inherit from it.
func (g *generator) replaced(r relation, t string) string {
	var columns []string
	for _, c := range r.Columns {
		if !c.Made {
			columns = append(columns, c.Name+" "+c.Type)
		}
	}
	switch g.IntN(4) {
	case 0:
		kid := g.fresh(r.Name + "_kid")
		g.soon(fmt.Sprintf("ALTER TABLE @.%s NO INHERIT %s", kid, t))
		g.soon(fmt.Sprintf("INSERT INTO @.%s (id) VALUES (%d)", kid, g.IntN(30)))
		return fmt.Sprintf("CREATE TABLE @.%[2]s (LIKE %[1]s INCLUDING ALL); ALTER TABLE @.%[2]s INHERIT %[1]s", t, kid)
	case 1:
		return fmt.Sprintf("BEGIN; DROP TABLE %[1]s; CREATE TABLE %[1]s (%[2]s, PRIMARY KEY (id)); INSERT INTO %[1]s (id) SELECT generate_series(1, 9, 2); COMMIT", t, strings.Join(columns, ", "))
	case 2:
		g.soon(fmt.Sprintf("CREATE TABLE %s (%s, PRIMARY KEY (id))", t, strings.Join(columns, ", ")))
		return "DROP TABLE " + t
	}
	keep := g.fresh(r.Name + "_keep")
	return fmt.Sprintf("BEGIN; CREATE TABLE @.%[2]s AS SELECT * FROM %[1]s; TRUNCATE %[1]s; INSERT INTO %[1]s OVERRIDING SYSTEM VALUE SELECT * FROM @.%[2]s WHERE id > 4; COMMIT", t, keep)
}

// identity changes what the log has of old rows.
func (g *generator) identity(r relation, t string) string {
	of := t
	if len(r.Leaves) > 0 && g.IntN(2) == 0 {
		of = "@." + one(g, r.Leaves...)
	}
	switch g.IntN(5) {
	case 0, 1, 2:
		g.soon(fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY DEFAULT", of))
		return fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY %s", of, one(g, "FULL", "FULL", "NOTHING", "DEFAULT"))
	case 3:
		g.soon(fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (id)", t))
		return fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s_pkey", t, r.Name)
	}
	return fmt.Sprintf("ALTER TABLE %s CLUSTER ON %s_pkey", t, r.Name)
}

// partitions attaches, detaches, makes and drops partitions.
func (g *generator) partitions(r relation, t string) string {
	from := 10 * g.IntN(5)
	name, span := "@."+g.fresh(r.Name+"_p"), fmt.Sprintf("FOR VALUES FROM (%d) TO (%d)", from, from+10)
	into := t
	if len(r.Leaves) > 0 && g.IntN(4) == 0 {
		into = "@." + one(g, r.Leaves...)
	}
	leaf := "@." + one(g, append(r.Leaves, r.Apart...)...)
	switch g.IntN(13) {
	case 0, 1:
		g.soon(fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s %s", t, leaf, one(g, "FOR VALUES FROM (0) TO (10)", "FOR VALUES FROM (10) TO (20)", span, "DEFAULT")))
		if g.IntN(3) == 0 { // it waits for who reads the table, and is interrupted
			g.later = append(g.later, later{g.n, "1 BEGIN"}, later{g.n, "1 SELECT FROM " + t}, later{g.n, fmt.Sprintf("0 ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY", into, leaf)}, later{g.n, "1 ROLLBACK"})
			g.soon(fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE", into, leaf))
			return "SELECT 1"
		}
		return fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s%s", into, leaf, one(g, "", " CONCURRENTLY"))
	case 2:
		if len(r.Apart) > 0 {
			leaf = "@." + one(g, r.Apart...)
		}
		return fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s %s", into, leaf, one(g, span, "DEFAULT"))
	case 3:
		return fmt.Sprintf("CREATE TABLE %s PARTITION OF %s %s", name, into, one(g, span, span, "DEFAULT", span+" PARTITION BY RANGE (id)"))
	case 4:
		insert := fmt.Sprintf("INSERT INTO %s (id) VALUES (%d), (%d)", t, from+5, from+6)
		away := one(g, fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s", into, name), "DROP TABLE "+name, "TRUNCATE "+name)
		return g.chain(fmt.Sprintf("CREATE TABLE %s PARTITION OF %s %s", name, into, span), one(g, []string{insert, away}, []string{insert, away, insert}, []string{away})...)
	case 5:
		g.soon(fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s %s", into, name, span))
		if g.IntN(2) == 0 {
			g.soon(fmt.Sprintf("INSERT INTO %s (id) VALUES (%d)", name, from+1))
		}
		return fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING ALL)", name, t)
	case 6:
		return fmt.Sprintf("BEGIN; CREATE TABLE %[1]s (LIKE %[2]s INCLUDING ALL); %[3]s; ALTER TABLE %[2]s ATTACH PARTITION %[1]s %[4]s; COMMIT", name, t, one(g, fmt.Sprintf("INSERT INTO %s (id) VALUES (%d)", name, from+2), "SELECT 1"), span)
	case 7:
		return "DROP TABLE " + leaf
	case 8, 9:
		return fmt.Sprintf("BEGIN; ALTER TABLE %[1]s DETACH PARTITION %[2]s; CREATE TABLE %[3]s PARTITION OF %[1]s %[4]s; INSERT INTO %[1]s SELECT * FROM %[2]s ON CONFLICT DO NOTHING; DROP TABLE %[2]s; COMMIT", t, leaf, name, span)
	case 10:
		return fmt.Sprintf("BEGIN; CREATE TABLE %[1]s PARTITION OF %[2]s %[3]s; SAVEPOINT s; INSERT INTO %[1]s (id) VALUES (%[4]d); COMMIT", name, into, span, from+3)
	case 11:
		return fmt.Sprintf("BEGIN; ALTER TABLE %[1]s DETACH PARTITION %[2]s; INSERT INTO %[2]s (id) VALUES (%[3]d); ALTER TABLE %[1]s ATTACH PARTITION %[2]s %[4]s; COMMIT", t, leaf, from+4, span)
	}
	return fmt.Sprintf("ALTER TABLE %s RENAME TO %s", leaf, strings.TrimPrefix(name, "@."))
}
