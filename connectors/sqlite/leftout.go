package sqlite

import (
	"regexp"
	"slices"
	"strings"
)

var virtualModule = regexp.MustCompile(`(?is)^\s*CREATE\s+VIRTUAL\s+TABLE\s.*?\sUSING\s+["\[` + "`" + `]?(\w+)`)

// shadows are the endings of the names of tables in which common modules keep the
// content of a virtual table.
var shadows = map[string]*regexp.Regexp{
	"fts3": regexp.MustCompile(`^(content|segments|segdir)$`), "fts4": regexp.MustCompile(`^(content|segments|segdir|docsize|stat)$`),
	"fts5":  regexp.MustCompile(`^(data|idx|content|docsize|config)$`),
	"rtree": regexp.MustCompile(`^(node|rowid|parent)$`), "rtree_i32": regexp.MustCompile(`^(node|rowid|parent)$`), "geopoly": regexp.MustCompile(`^(node|rowid|parent)$`),
	"vec0": regexp.MustCompile(`^(chunks|rowids|info|auxiliary|metadata(chunks|text)[0-9]+|vector_chunks[0-9]+)$`),
}

// leaveOut says why virtual tables are not read, and returns the tables without those
// that have the content of a virtual table. SQLite knows these only if it has the
// module.
func leaveOut(tables []dbTable) []dbTable {
	virtual := map[string]string{}
	for i := range tables {
		t := &tables[i]
		if t.kind != "virtual" {
			continue
		}
		module, of := "", "of a module"
		if m := virtualModule.FindStringSubmatch(t.sql); m != nil {
			module = strings.ToLower(m[1])
			of = "of the module " + module
		}
		virtual[strings.ToLower(t.name)] = module
		t.left = "a virtual table " + of + ": what it shows is worked out by code that reads other tables or files; make a table of it in the file (CREATE TABLE ... AS SELECT) to sync its rows"
	}
	return slices.DeleteFunc(tables, func(t dbTable) bool {
		if t.kind != "table" {
			return t.kind == "shadow"
		}
		lower := strings.ToLower(t.name)
		return slices.ContainsFunc(prefixes(lower), func(name string) bool {
			endings := shadows[virtual[name]]
			return endings != nil && endings.MatchString(lower[len(name)+1:])
		})
	})
}

// prefixes are the parts of a name that end before an underscore.
func prefixes(name string) (all []string) {
	for i, c := range name {
		if c == '_' {
			all = append(all, name[:i])
		}
	}
	return all
}
