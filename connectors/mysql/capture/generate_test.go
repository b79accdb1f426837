package capture_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// column is what a statement has to know of one.
type column struct {
	name, data, full, charset string
	length                    int64
	null, generated, key      bool
}

// generator makes statements of which most can be carried out.
type generator struct {
	r       *rand.Rand
	maria   bool
	fold    bool     // the server ignores case in names of tables
	wanted  []string // names of the tables
	columns map[string][]column
	look    func(string) []column
	number  int // for names
}

// quote quotes a name.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// often is true so many times of a hundred.
func (g *generator) often(percent int) bool { return g.r.IntN(100) < percent }

// fresh makes a new name.
func (g *generator) fresh(prefix string) string {
	g.number++
	return fmt.Sprintf("%s%d", prefix, g.number)
}

// called writes a table's name in one of its ways.
func (g *generator) called(name string) string {
	if g.fold && g.often(30) {
		name = strings.ToUpper(name)
	}
	text := quote(name)
	if len(name) == 1 && g.often(50) {
		text = name
	}
	if g.often(20) {
		text = pick(g.r, "headwater.", "`headwater` . ", "headwater /* . */ .") + text
	}
	return text
}

// table picks a table.
func (g *generator) table() string { return pick(g.r, g.wanted...) }

// of returns a table's columns.
func (g *generator) of(table string) []column {
	if g.columns[table] == nil {
		g.columns[table] = g.look(table)
	}
	return g.columns[table]
}

// kind is a type of a column. blob says that tables in memory cannot have it.
func (g *generator) kind(blob bool) string {
	kinds := []string{"tinyint", "smallint unsigned", "mediumint", "int", "int unsigned", "bigint", "bigint unsigned", "decimal(10,2)", "decimal(30,10) unsigned", "float", "double", "bit(1)", "bit(12)", "year", "date", "time", "time(3)",
		"datetime", "datetime(6)", "timestamp NULL", "timestamp(3) NULL", "char(5)", "char(12) CHARACTER SET latin1", "varchar(20)", "varchar(300)", "varchar(30) CHARACTER SET latin1", "varchar(20) COLLATE utf8mb4_bin", "varchar(9) CHARACTER SET ucs2", "varchar(9) CHARACTER SET sjis",
		"binary(6)", "varbinary(10)", "enum('a','b''c','d\\\\e')", "set('x','y','z')", "int(5) zerofill"}
	if blob {
		kinds = append(kinds, "text", "blob", "tinytext", "json", "mediumtext CHARACTER SET utf8mb3", "point")
	}
	if g.maria {
		kinds = append(kinds, "uuid", "inet6", "inet4", "varchar(100) COMPRESSED")
	}
	return pick(g.r, kinds...)
}

// defined is a column's type with what may follow it.
func (g *generator) defined(blob bool) string {
	kind := g.kind(blob)
	word, _, _ := strings.Cut(strings.FieldsFunc(kind, func(r rune) bool { return r == '(' || r == ' ' })[0], "(")
	switch {
	case g.often(15) && slices.Contains([]string{"tinyint", "smallint", "int", "bigint", "decimal", "double"}, word):
		return kind + pick(g.r, " DEFAULT 3", " NOT NULL DEFAULT 4", " DEFAULT (1 + 1)", " NOT NULL", " DEFAULT NULL")
	case g.often(30) && strings.HasPrefix(kind, "varchar") && !strings.Contains(kind, "COMPRESSED"):
		return kind + pick(g.r, " DEFAULT 'd'", " NOT NULL DEFAULT ''", " NOT NULL", " NULL")
	case g.often(40) && kind == "timestamp NULL", g.often(20) && kind == "datetime":
		return kind + pick(g.r, " DEFAULT current_timestamp", " ON UPDATE current_timestamp", " DEFAULT current_timestamp ON UPDATE current_timestamp")
	}
	return kind
}

// expression is of a generated column.
func (g *generator) expression(other, kind string) string {
	text := strings.Contains(kind, "char") || strings.Contains(kind, "text")
	stored := pick(g.r, " VIRTUAL", " STORED")
	if text {
		return pick(g.r, "varchar(400) AS (CONCAT("+other+", 'x'))", "varchar(400) AS (UPPER("+other+"))", "int AS (CHAR_LENGTH("+other+"))") + stored
	}
	return pick(g.r, "varchar(99) AS (HEX("+other+"))", "int AS (LENGTH("+other+"))", "int AS ("+other+" IS NULL)") + stored
}

// create returns the definition of a table.
func (g *generator) create(name string) string {
	engine := pick(g.r, "InnoDB", "InnoDB", "InnoDB", "InnoDB", "InnoDB", "InnoDB", "InnoDB", "InnoDB", "MyISAM", "MyISAM", "MEMORY", "MEMORY", "ARCHIVE")
	if g.maria && g.often(8) {
		engine = "Aria"
	}
	blob := engine != "MEMORY"
	var parts []string
	key, partition := "", ""
	switch n := g.r.IntN(12); {
	case n < 3:
		parts = append(parts, "id int AUTO_INCREMENT")
		key = "id"
		if g.often(25) && engine == "InnoDB" {
			partition = pick(g.r, " PARTITION BY HASH (id) PARTITIONS 3", " PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (5), PARTITION p1 VALUES LESS THAN (10), PARTITION p2 VALUES LESS THAN MAXVALUE)", " PARTITION BY KEY () PARTITIONS 2")
		}
	case n < 5:
		parts, key = append(parts, "id "+pick(g.r, "int", "bigint unsigned", "smallint", "decimal(5,2)", "date", "datetime(3)", "bit(9)", "year", "time(2)")), "id"
	case n < 8:
		parts, key = append(parts, "id "+pick(g.r, "varchar(10)", "varchar(10) CHARACTER SET latin1", "char(5)", "varchar(10) COLLATE utf8mb4_bin", "binary(4)", "varbinary(6)", "enum('a','b','c','d','e')", "varchar(9) CHARACTER SET ucs2")), "id"
	case n < 10:
		parts, key = append(parts, "id varchar(10)", "k2 int", "x int"), pick(g.r, "k2, id", "id, k2")
	case n < 11:
		parts, key = append(parts, "x int", "id timestamp(3) NOT NULL DEFAULT current_timestamp(3)", "k2 varchar(5)"), "k2, id"
	default:
		parts = append(parts, "id int", "x varchar(9)")
	}
	if key != "" && g.often(30) {
		parts = slices.Insert(parts, g.r.IntN(len(parts)+1), "first_ "+g.defined(blob))
	}
	for i := range 1 + g.r.IntN(7) {
		kind, column := g.defined(blob), quote(pick(g.r, "c", "C", "ü ", "index")+fmt.Sprint(i))
		parts = append(parts, column+" "+kind)
		if g.often(20) && engine == "InnoDB" && !strings.Contains(kind, "point") && !strings.Contains(kind, "COMPRESSED") {
			parts = append(parts, quote(fmt.Sprint("g", i))+" "+g.expression(column, kind))
		}
	}
	if g.maria && g.often(6) {
		parts = append(parts, "from_ date NOT NULL DEFAULT '2001-01-02'", "to_ date NOT NULL DEFAULT '2001-01-08'", "PERIOD FOR p (from_, to_)")
	}
	if key != "" {
		parts = append(parts, "PRIMARY KEY ("+key+")")
	}
	if g.often(25) && partition == "" && engine != "ARCHIVE" {
		parts = append(parts, "u int", "UNIQUE (u)")
	}
	return "CREATE TABLE " + g.called(name) + " (" + strings.Join(parts, ", ") + ") ENGINE=" + engine + pick(g.r, "", "", " DEFAULT CHARSET=latin1", " COLLATE=utf8mb4_bin") + partition
}

// value is a value of a column, or NULL.
func (g *generator) value(k column) string {
	if k.null && g.often(15) {
		return "NULL"
	}
	small := fmt.Sprint(g.r.IntN(12))
	switch k.data {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		if g.often(10) && !k.key {
			bits := map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}[k.data]
			if strings.Contains(k.full, "unsigned") {
				return fmt.Sprintf("~0 >> %d", 64-bits)
			}
			return fmt.Sprintf("-(1 << %d)", bits-2)
		}
		return small
	case "decimal":
		return small + pick(g.r, "", ".5", ".25")
	case "float", "double":
		return pick(g.r, small, "1.5", "-2.25", "0.1", "1e10", "1e-7")
	case "bit":
		return pick(g.r, "b'0'", "b'1'")
	case "year":
		return fmt.Sprint(1990 + g.r.IntN(8))
	case "date":
		return pick(g.r, "'2024-02-29'", "'1000-01-01'", "'9999-12-31'", "'2001-01-0"+fmt.Sprint(1+g.r.IntN(9))+"'")
	case "time":
		return pick(g.r, "'-838:59:58.5'", "'00:00:0"+fmt.Sprint(g.r.IntN(9))+".25'", "'-00:00:01.123456'")
	case "datetime", "timestamp":
		return pick(g.r, "'2024-02-29 10:00:00.123456'", "'2001-09-09 01:46:4"+fmt.Sprint(g.r.IntN(9))+".5'", "NOW()", "'1971-01-01 00:00:00'")
	case "enum", "set":
		return fmt.Sprint(1 + g.r.IntN(3))
	case "binary", "varbinary", "blob":
		return pick(g.r, "x''", "x'00'", "x'00ff'", "x'410"+fmt.Sprint(g.r.IntN(9))+"'", "x'ff00'")
	case "json", "longtext": // as MariaDB calls it
		return pick(g.r, "'{}'", `'{"a": [1, 2.5, null]}'`, `'["ü"]'`, "'"+small+"'", "'null'")
	case "uuid":
		return pick(g.r, "UUID()", "'00112233-4455-6677-8899-aabbccddeeff'")
	case "inet6":
		return pick(g.r, "'::1'", "'2001:db8::"+small+"'")
	case "inet4":
		return "'1.2.3." + small + "'"
	case "point":
		return "ST_GeomFromText('POINT(" + small + " 2)')"
	}
	words := []string{"a", "A", "b", "B ", "b", "", "zz", "ss", "A  ", small}
	if !strings.HasPrefix(k.charset, "ascii") && k.charset != "sjis" {
		words = append(words, "á", "ß", "é")
	}
	if strings.HasPrefix(k.charset, "utf8mb4") {
		words = append(words, "𝄞", "Ω")
	}
	if k.length > 200 && g.often(30) {
		return "REPEAT('" + pick(g.r, "xy", "é") + "', " + fmt.Sprint(100+g.r.IntN(40)) + ")"
	}
	word := pick(g.r, words...)
	if int64(len(word)) > k.length {
		word = ""
	}
	return "'" + word + "'"
}

// some picks columns that values can be given to, the key's most of the time.
func (g *generator) some(table string) (all []column) {
	for _, k := range g.of(table) {
		if !k.generated && (g.often(70) || k.key && g.often(85)) {
			all = append(all, k)
		}
	}
	return all
}

// row returns (value, value) of columns.
func (g *generator) row(columns []column) string {
	var values []string
	for _, k := range columns {
		values = append(values, g.value(k))
	}
	return "(" + strings.Join(values, ", ") + ")"
}

func list(columns []column) string {
	var names []string
	for _, k := range columns {
		names = append(names, quote(k.name))
	}
	return strings.Join(names, ", ")
}

// sets returns assignments of values, of a table's alias.
func (g *generator) sets(table, alias string, keys bool) string {
	var all []string
	columns := g.of(table)
	for _, i := range g.r.Perm(len(columns)) {
		k := columns[i]
		if k.generated || k.key != keys || len(all) > g.r.IntN(3) {
			continue
		}
		value := g.value(k)
		if slices.Contains([]string{"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "double"}, k.data) && g.often(40) {
			value = alias + quote(k.name) + pick(g.r, " + 1", " + 20", " - 1")
		}
		if k.data == "varchar" && g.often(30) {
			value = pick(g.r, "UPPER(", "LOWER(", "TRIM(", "CONCAT('q', ") + alias + quote(k.name) + ")"
		}
		all = append(all, alias+quote(k.name)+" = "+value)
	}
	if len(all) == 0 {
		return ""
	}
	return strings.Join(all, ", ")
}

// where picks rows.
func (g *generator) where(table, alias string) string {
	columns := g.of(table)
	if len(columns) == 0 || g.often(15) {
		return ""
	}
	k := pick(g.r, columns...)
	if g.often(50) {
		k = columns[0]
	}
	return " WHERE " + alias + quote(k.name) + pick(g.r, " = ", " = ", " >= ", " <> ", " <=> ") + g.value(k)
}

// limited takes a few rows, in an order.
func (g *generator) limited(table string) string {
	if columns := g.of(table); len(columns) > 0 && g.often(30) {
		return " ORDER BY " + quote(pick(g.r, columns...).name) + pick(g.r, "", " DESC") + " LIMIT " + fmt.Sprint(1+g.r.IntN(3))
	}
	return ""
}
