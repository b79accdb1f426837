package syncoptions

import (
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
)

// A pattern means by itself what path.Match says, but for a slash, which is a
// character as any other.
func TestGlobIsPathMatchWithSlashes(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a*", "a/b", true}, {"*", "x/y/z", true}, {"a?b", "a/b", true}, {"a[/x]b", "a/b", true}, {"a[^x]b", "a/b", true},
		{"[.-0]", "/", true}, {"a", "a/", false}, {"*b", "a/b/c", false}, {"*.*", "public.a/b", true}, {`\*`, "*", true}, {`\*`, "x", false},
		{"*a*a*a*a*a*a*a*a*b", strings.Repeat("a", 200), false}, {"ö?", "öä", true}, {"", "", true}, {"", "x", false},
	} {
		g, ok := compile(c.pattern)
		if !ok || g.match(c.name) != c.want {
			t.Errorf("%q of %q: %v, want %v", c.name, c.pattern, !c.want, c.want)
		}
	}
	for _, none := range []string{"[", "[]", "[a", "[^]", "[a-", "[a-]", "[-a]", `a\`, `[\`, "[]a]"} {
		if _, ok := compile(none); ok {
			t.Errorf("%q is a pattern", none)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		pattern := rapid.StringOf(rapid.RuneFrom([]rune(`ab*?[]^-\ö`))).Draw(r, "pattern")
		name := rapid.StringOf(rapid.RuneFrom([]rune(`ab*[]-\ö`))).Draw(r, "name")
		want, err := path.Match(pattern, name)
		g, ok := compile(pattern)
		if _, bad := path.Match(pattern, ""); bad != nil || err != nil {
			return // which of the two it tells depends on the name
		}
		if !ok || g.match(name) != want {
			r.Fatalf("%q of %q: %v %v, want %v", name, pattern, ok, g.match(name), want)
		}
	})
}

// A name means that table alone, also where it reads as a pattern.
func TestChoice(t *testing.T) {
	tables := []event.Table{}
	for _, name := range []string{"orders", "t1", "t[1]", "a/b", "a*", "ab", "s.x", "x", `b\c`, "["} {
		tables = append(tables, event.Table{Namespace: "db", Name: name})
	}
	for _, c := range []struct {
		options command.SyncOptions
		want    string
	}{
		{command.SyncOptions{}, `orders t1 t[1] a/b a* ab s.x x b\c [`},
		{command.SyncOptions{Tables: []string{"t[1]"}}, "t[1]"},
		{command.SyncOptions{Tables: []string{"db.t[1]"}}, "t[1]"},
		{command.SyncOptions{Tables: []string{"t[12]"}}, "t1"},
		{command.SyncOptions{Tables: []string{"a*"}}, "a*"},
		{command.SyncOptions{Tables: []string{"db.a*", "a?"}}, "a* ab"},
		{command.SyncOptions{Tables: []string{"a[*]", "a?b"}}, "a/b a*"},
		{command.SyncOptions{Tables: []string{"["}}, "["},
		{command.SyncOptions{Tables: []string{`b\c`}}, `b\c`},
		{command.SyncOptions{Tables: []string{"db.*"}, Exclude: []string{"?"}}, `orders t1 t[1] a/b a* ab s.x b\c`},
		{command.SyncOptions{Exclude: []string{"t[1]", "db.[ao]*", "s.x", "none"}}, `t1 x b\c [`},
		{command.SyncOptions{Tables: []string{"other.*", "order"}}, ""},
	} {
		choice := NewChoice(c.options, tables)
		var got []string
		for _, table := range tables {
			if choice.Takes(table.Namespace, table.Name) {
				got = append(got, table.Name)
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%+v: %s, want %s", c.options, text, c.want)
		}
	}
	table := driver.Table{Name: "t1", Cursor: "a[1]", CursorNotes: []string{"."}, Columns: []driver.Column{{Name: "a1"}, {Name: "a[1]"}, {Name: "note/x"}}}
	left := NewChoice(command.SyncOptions{Columns: map[string]command.Columns{"t?": {Exclude: []string{"a[1]", "note*"}}}}, nil).Without(table)
	if len(left.Columns) != 1 || left.Columns[0].Name != "a1" || left.Cursor != "" || left.CursorNotes != nil {
		t.Errorf("%+v", left)
	}
}
