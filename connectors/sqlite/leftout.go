package sqlite

import (
	"regexp"
	"slices"
	"strings"
)

var virtualModule = regexp.MustCompile(`(?is)^\s*CREATE\s+VIRTUAL\s+TABLE\s.*?\sUSING\s+["\[` + "`" + `]?(\w+)`)

// shadows are the endings of the tables in which the usual modules keep the
// content of a virtual table: fts3 to fts5, rtree, geopoly, vec0.
var shadows = regexp.MustCompile(`^(content|segments|segdir|docsize|stat|data|idx|config|node|rowid|parent|chunks|rowids|info|auxiliary|metadata(chunks|text)[0-9]+|vector_chunks[0-9]+)$`)

// leaveOut says why virtual tables are not read, and the tables that hold their
// content: SQLite itself knows those alone whose module it has.
func leaveOut(tables []dbTable) {
	virtual := map[string]string{}
	for i := range tables {
		t := &tables[i]
		if t.kind != "virtual" {
			continue
		}
		module := "of a module"
		if m := virtualModule.FindStringSubmatch(t.sql); m != nil {
			module = "of the module " + strings.ToLower(m[1])
		}
		virtual[strings.ToLower(t.name)] = module
		t.left = "a virtual table " + module + ": what it shows is worked out by code that reads other tables or files; make a table of it in the file (CREATE TABLE ... AS SELECT) to sync its rows"
	}
	for i := range tables {
		t := &tables[i]
		if t.kind != "shadow" && t.kind != "table" {
			continue
		}
		for _, name := range slices.Backward(prefixes(strings.ToLower(t.name))) {
			if module, ok := virtual[name]; ok && (t.kind == "shadow" || shadows.MatchString(strings.ToLower(t.name)[len(name)+1:])) {
				t.kind, t.left = "shadow", "it holds the content of the virtual table "+t.name[:len(name)]+" "+module+", in a form of its own"
				break
			}
		}
		if t.kind == "shadow" && t.left == "" {
			t.left = "it holds the content of a virtual table, in a form of its own"
		}
	}
}

// prefixes are the beginnings of a name that end before an underscore.
func prefixes(name string) (all []string) {
	for i, c := range name {
		if c == '_' {
			all = append(all, name[:i])
		}
	}
	return all
}
