package capture_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// generator makes the steps of a history from its seed and from what the tables are like.
type generator struct {
	*rand.Rand
	p       *play
	setup   []string
	names   []string
	later   []later
	n, most int
	made    int    // numbers names
	kept    string // the publication
	focus   string // the table of the last statements
}

// later is a step that is due when so many have been made.
type later struct {
	due  int
	step string
}

// relation is a table as it is now.
type relation struct {
	Name    string
	Kind    string
	Columns []column
	Leaves  []string // names of partitions of all levels, within @
	Apart   []string // those that were detached
}

type column struct {
	Name, Type string
	Key        bool
	Full       bool // NOT NULL
	Made       bool // generated
}

func newGenerator(p *play, seed uint64) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 11)), p: p, most: 25}
	g.most += g.IntN(60)
	g.setup = g.begin()
	return g
}

func (g *generator) more() bool { return g.n < g.most }

// one returns one of several.
func one[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

// begin makes the tables and the publication.
func (g *generator) begin() []string {
	steps := []string{
		"0 CREATE SCHEMA @", "0 CREATE SCHEMA @x", "0 CREATE TYPE @.mood AS ENUM ('sad', 'ok', 'glad')", "0 CREATE TYPE @.pair AS (x int, y text)", "0 CREATE DOMAIN @.pct AS int",
		"0 GRANT USAGE ON SCHEMA @, @x TO plain",
	}
	columns := func() string {
		all := []string{"v text", "n int", "big text", "m @.mood", "c @.pair", "r int4range", "arr int[]", "p @.pct", "at timestamptz", "num numeric(9,2)", "vc varchar(20)", "gen int GENERATED ALWAYS AS (length('abc')) STORED", "ms @.mood[]", "lng text", "b bool DEFAULT true"}
		g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return strings.Join(all[:2+g.IntN(4)], ", ")
	}
	for _, name := range []string{"a", "b", "c", "d"}[:2+g.IntN(3)] {
		g.names = append(g.names, name)
		t := "@." + name
		switch g.IntN(8) {
		case 0, 1:
			steps = append(steps, fmt.Sprintf("0 CREATE TABLE %s (id int PRIMARY KEY, %s)", t, columns()))
		case 2:
			steps = append(steps, fmt.Sprintf("0 CREATE TABLE %s (id int, %s, k2 text, PRIMARY KEY (%s))", t, columns(), one(g, "id, k2", "k2, id")))
		case 3:
			steps = append(steps, fmt.Sprintf("0 CREATE TABLE %s (id int %s, %s)", t, one(g, "UNIQUE", "PRIMARY KEY"), columns()), "0 ALTER TABLE "+t+" REPLICA IDENTITY FULL")
		case 4:
			steps = append(steps, fmt.Sprintf("0 CREATE TABLE %s (%s, id int NOT NULL)", t, columns()), fmt.Sprintf("0 CREATE UNIQUE INDEX %s_u ON %s (id)", name, t), fmt.Sprintf("0 ALTER TABLE %s REPLICA IDENTITY USING INDEX %s_u", t, name))
		default:
			steps = append(steps, fmt.Sprintf("0 CREATE TABLE %s (id int PRIMARY KEY, %s) PARTITION BY RANGE (id)", t, columns()), fmt.Sprintf("0 CREATE TABLE %[1]s_1 PARTITION OF %[1]s FOR VALUES FROM (0) TO (10)", t))
			if g.IntN(2) == 0 {
				steps = append(steps, fmt.Sprintf("0 CREATE TABLE %[1]s_2 PARTITION OF %[1]s FOR VALUES FROM (10) TO (20) PARTITION BY %[2]s (id)", t, one(g, "RANGE", "LIST", "RANGE")), fmt.Sprintf("0 CREATE TABLE %[1]s_21 PARTITION OF %[1]s_2 DEFAULT", t))
			} else {
				steps = append(steps, fmt.Sprintf("0 CREATE TABLE %[1]s_2 PARTITION OF %[1]s FOR VALUES FROM (10) TO (20)", t))
			}
			if g.IntN(2) == 0 {
				steps = append(steps, fmt.Sprintf("0 CREATE TABLE %[1]s_3 PARTITION OF %[1]s DEFAULT", t))
			}
		}
		steps = append(steps, fmt.Sprintf("0 INSERT INTO %s SELECT * FROM json_populate_recordset(NULL::%[1]s, '%s')", t, `[{"id": 1, "k2": "a", "n": 5, "v": "v"}, {"id": 4, "k2": "a", "n": 6, "m": "sad", "b": true}, {"id": 7, "k2": "b", "vc": "w", "c": {"x": 1}}, {"id": 12, "k2": "a", "p": 7}, {"id": 15, "k2": "a"}]`), fmt.Sprintf("0 INSERT INTO %s (id) SELECT generate_series(1, 15, 3) ON CONFLICT DO NOTHING", t))
	}
	who := "ours"
	if g.IntN(2) == 0 {
		who, g.kept = "kept", "@_kept"
		with := " WITH (publish_via_partition_root = " + one(g, "true", "true", "true", "false") + ")"
		of := " FOR TABLE @." + strings.Join(g.names, ", @.")
		switch n := g.IntN(4); {
		case n == 0:
			of = " FOR ALL TABLES"
		case n == 1 && g.p.version >= 15:
			of = " FOR TABLES IN SCHEMA @"
		}
		steps = append(steps, "0 CREATE PUBLICATION @_kept"+of+with)
	} else {
		g.kept = "@"
	}
	return append(steps, "tables "+who+" "+strings.Join(g.names, " "))
}

// next returns the next step.
func (g *generator) next() string {
	g.n++
	if len(g.setup) > 0 {
		first := g.setup[0]
		g.setup, g.n = g.setup[1:], 0
		return first
	}
	if at := slices.IndexFunc(g.later, func(l later) bool { return l.due <= g.n }); at >= 0 {
		step := g.later[at].step
		g.later = slices.Delete(g.later, at, at+1)
		return step
	}
	if at := slices.Index(g.p.broken[:], true); at >= 0 && g.IntN(3) > 0 {
		return fmt.Sprintf("%d %s", at, one(g, "ROLLBACK", "ROLLBACK TO s", "COMMIT"))
	}
	switch n := g.IntN(100); {
	case n < 40:
		return g.in(g.rows())
	case n < 52:
		return g.transaction()
	case n < 72:
		return g.alter()
	case n < 82:
		return "sync"
	case n < 88:
		return one(g, "await", "await", "follow", "unfollow")
	case n < 92:
		return "follow"
	case n < 96:
		return fmt.Sprintf("%s %d", one(g, "left", "lost", "deaf"), g.IntN(4))
	case n < 97:
		return "another"
	case n < 98:
		return one(g, "kill", "another")
	}
	return "between " + g.rows()
}

// pick chooses a table, most of the time the one before.
func (g *generator) pick() string {
	if g.focus == "" || g.IntN(4) == 0 {
		g.focus = one(g, g.names...)
	}
	return g.focus
}

// in has a statement run in one of the sessions.
func (g *generator) in(statement string) string { return fmt.Sprintf("%d %s", g.IntN(3), statement) }

func (g *generator) transaction() string {
	at := 1 + g.IntN(2)
	if !g.p.open[at] {
		if g.IntN(4) == 0 {
			return fmt.Sprintf("0 %s PREPARED '@_%d'", one(g, "COMMIT", "COMMIT", "ROLLBACK"), max(g.made, 1))
		}
		return fmt.Sprintf("%d %s", at, one(g, "BEGIN", "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"))
	}
	switch g.IntN(8) {
	case 0:
		g.made++
		return fmt.Sprintf("%d PREPARE TRANSACTION '@_%d'", at, g.made)
	case 1, 2:
		return fmt.Sprintf("%d SAVEPOINT s", at)
	case 3:
		return fmt.Sprintf("%d %s", at, one(g, "ROLLBACK TO s", "RELEASE s"))
	case 4:
		return fmt.Sprintf("%d ROLLBACK", at)
	}
	return fmt.Sprintf("%d COMMIT", at)
}

// look reads a table from the catalog.
func (g *generator) look(name string) (r relation) {
	text := ""
	err := g.p.db.QueryRowContext(g.p.Context(), `
WITH RECURSIVE tree AS (SELECT c.oid, 0 AS level FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = $2 AND n.nspname = $1
  UNION ALL SELECT i.inhrelid, level + 1 FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid)
SELECT json_build_object('Kind', c.relkind,
  'Columns', (SELECT json_agg(json_build_object('Name', a.attname, 'Type', replace(format_type(a.atttypid, a.atttypmod), $1 || '.', '@.'), 'Key', coalesce(a.attnum = ANY (k.indkey), false), 'Full', a.attnotnull, 'Made', a.attgenerated <> '') ORDER BY a.attnum)
    FROM pg_attribute a LEFT JOIN (SELECT * FROM pg_index WHERE indrelid = c.oid AND (indisprimary OR indisreplident) LIMIT 1) k ON true WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'Leaves', (SELECT coalesce(json_agg(l.relname), '[]') FROM tree t JOIN pg_class l ON l.oid = t.oid WHERE t.level > 0),
  'Apart', (SELECT coalesce(json_agg(l.relname), '[]') FROM pg_class l WHERE l.relnamespace = c.relnamespace AND l.relname LIKE $2 || '\_%' AND l.relkind IN ('r', 'p') AND NOT EXISTS (SELECT FROM tree t WHERE t.oid = l.oid)))
FROM tree t JOIN pg_class c ON c.oid = t.oid WHERE t.level = 0`, g.p.name, name).Scan(&text)
	if err == nil {
		err = json.Unmarshal([]byte(text), &r)
	}
	if err != nil { // it has another name now
		r.Columns = []column{{Name: "id", Type: "integer", Key: true, Full: true}}
	}
	for i, c := range r.Columns {
		r.Columns[i].Key = c.Key || c.Name == "id"
	}
	r.Name = name
	return r
}

// value writes a value of a column.
func (g *generator) value(c column) string {
	n := g.IntN(one(g, 20, 20, 32))
	if !c.Key && !c.Full && g.IntN(8) == 0 {
		return "NULL"
	}
	switch kind, _, _ := strings.Cut(c.Type, "("); {
	case strings.HasPrefix(c.Name, "big"):
		return fmt.Sprintf("(SELECT string_agg(md5(i || 'x%d'), '') FROM generate_series(1, %d) i)", g.Int32(), 1+100*g.IntN(4))
	case strings.HasPrefix(c.Name, "lng"):
		return fmt.Sprintf("repeat('%d', 9000)", n)
	case kind == "text", kind == "character varying":
		return fmt.Sprintf("'v%d'", n)
	case kind == "timestamp with time zone":
		return fmt.Sprintf("'2020-01-01'::timestamptz + interval '%d hours'", n)
	case kind == "boolean":
		return one(g, "true", "false")
	case kind == "uuid":
		return fmt.Sprintf("md5('%d')::uuid", n)
	case kind == "int4range":
		return fmt.Sprintf("int4range(%d, %d)", n, n+g.IntN(3))
	case kind == "integer[]":
		return fmt.Sprintf("ARRAY[%d, NULL, %d]", n, n+1)
	case kind == "@.mood[]":
		return fmt.Sprintf("(enum_range(NULL::@.mood))[1:%d]", 1+n%3)
	case kind == "@.mood":
		return fmt.Sprintf("(enum_range(NULL::@.mood))[%d]", 1+n%3)
	case kind == "@.pair":
		return fmt.Sprintf(`jsonb_populate_record(NULL::@.pair, '{"x": %d, "y": "y%[1]d", "z": %[1]d}')`, n)
	}
	return fmt.Sprint(n)
}

// values writes the columns of a new row and their values.
func (g *generator) values(r relation) (names, values string) {
	var a, b []string
	for _, c := range r.Columns {
		if !c.Made && (c.Key || c.Full || g.IntN(4) > 0) {
			a, b = append(a, c.Name), append(b, g.value(c))
		}
	}
	return strings.Join(a, ", "), strings.Join(b, ", ")
}

// rest returns a column that is not of the key.
func (g *generator) rest(r relation) column {
	of := slices.DeleteFunc(slices.Clone(r.Columns), func(c column) bool { return c.Key || c.Made })
	if len(of) == 0 {
		return column{Name: "v", Type: "text"}
	}
	return one(g, of...)
}

// rows returns a statement that changes rows.
func (g *generator) rows() string {
	r := g.look(g.pick())
	t, c := "@."+r.Name, g.rest(r)
	names, values := g.values(r)
	if len(r.Leaves) > 0 && g.IntN(5) == 0 {
		t = "@." + one(g, r.Leaves...)
	} else if len(r.Apart) > 0 && g.IntN(3) == 0 {
		t = "@." + one(g, r.Apart...)
	}
	where := fmt.Sprintf("id = %d", g.IntN(20))
	switch g.IntN(6) {
	case 0:
		where = fmt.Sprintf("id %% 3 = %d", g.IntN(3))
	case 1:
		where = fmt.Sprintf("id < %d", g.IntN(40))
	}
	key := "id"
	if slices.ContainsFunc(r.Columns, func(c column) bool { return c.Name == "k2" && c.Key }) {
		key = "id, k2"
	}
	switch g.IntN(21) {
	case 0, 1, 2, 3, 4, 5:
		return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) ON CONFLICT DO NOTHING", t, names, values)
	case 6:
		return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM generate_series(%d, %d) g ON CONFLICT DO NOTHING", t, names, g.numbered(names, values), g.IntN(30), 30+g.IntN(10))
	case 7:
		return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) ON CONFLICT (%s) DO UPDATE SET %s = %s", t, names, values, key, c.Name, g.value(c))
	case 8, 9:
		return fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s", t, c.Name, g.value(c), where)
	case 10:
		return fmt.Sprintf("UPDATE %s SET %s = %s", t, c.Name, one(g, c.Name, g.value(c)))
	case 11:
		return fmt.Sprintf("UPDATE %s SET id = %s WHERE %s", t, one(g, "id + 7", fmt.Sprint(g.IntN(32)), "(id + 1) % 32", "id + 100"), where)
	case 12:
		return fmt.Sprintf("UPDATE %s SET id = id + 50, %s = %s WHERE id < 3", t, c.Name, g.value(c))
	case 13, 14:
		return fmt.Sprintf("DELETE FROM %s WHERE %s", t, where)
	case 15:
		return fmt.Sprintf("COPY %s (id) FROM PROGRAM 'echo %d; echo %d' (FORMAT csv)", t, g.IntN(32), 32+g.IntN(32))
	case 16:
		if g.p.version >= 15 {
			return fmt.Sprintf("MERGE INTO %[1]s t USING (SELECT %[2]d AS i UNION SELECT %[3]d) s ON t.id = s.i WHEN MATCHED AND s.i > 9 THEN DELETE WHEN MATCHED THEN UPDATE SET %[4]s = %[5]s WHEN NOT MATCHED THEN INSERT (%[6]s) VALUES (%[7]s)", t, g.IntN(32), g.IntN(32), c.Name, g.value(c), names, g.numbered(names, values, "s.i"))
		}
		return "DELETE FROM " + t
	case 17:
		return fmt.Sprintf("WITH gone AS (DELETE FROM %s WHERE %s RETURNING id) INSERT INTO @.%s (id) SELECT id FROM gone ON CONFLICT DO NOTHING", t, where, one(g, g.names...))
	case 18:
		return fmt.Sprintf("DO $$BEGIN UPDATE %[1]s SET id = id + 31 WHERE %[2]s;INSERT INTO %[1]s (%[3]s) VALUES (%[4]s);EXCEPTION WHEN others THEN DELETE FROM %[1]s WHERE id = 3;END$$", t, where, names, values)
	case 19:
		return fmt.Sprintf("SELECT * FROM %s WHERE %s FOR %s", t, where, one(g, "UPDATE", "SHARE", "KEY SHARE"))
	}
	return one(g, "DELETE FROM "+t, fmt.Sprintf("SET session_replication_role = %s", one(g, "replica", "origin")), fmt.Sprintf("INSERT INTO %s (id) VALUES (%d)", t, g.IntN(40)))
}

// numbered has the values of a row with another id.
func (g *generator) numbered(names, values string, by ...string) string {
	of, all := append(by, "g")[0], strings.Split(names, ", ")
	if len(all) > 0 && all[0] == "id" {
		_, rest, more := strings.Cut(values, ", ")
		if more {
			return of + ", " + rest
		}
		return of
	}
	return values
}
