package binlog

import "strings"

// Kind is what a statement in the log means for who follows rows.
type Kind uint8

// The kinds of statements.
const (
	Harmless Kind = iota // for rows and columns of tables
	Begin
	Commit
	Rollback
	Savepoint
	RollbackTo
	XA         // begins, ends, prepares
	XACommit   // of a transaction that was prepared before
	XARollback //
	Change     // changes rows of which the log has nothing but the statement
	Truncate
	Define // makes a table another one
)

// Effect is what a statement of kind Define does to a table. A greater one has more
// in it.
type Effect uint8

// The effects.
const (
	Nothing  Effect = iota
	Columns         // it has more columns; values in those that were there are as they were
	Rewrites        // rows or values may be others, or gone, without a word of them
)

// Name is a table's name; Table is "" for all of the schema.
type Name struct{ Schema, Table string }

// Is reports whether n means a table.
func (n Name) Is(schema, table string, fold bool) bool {
	if fold {
		return strings.EqualFold(n.Schema, schema) && (n.Table == "" || strings.EqualFold(n.Table, table))
	}
	return n.Schema == schema && (n.Table == "" || n.Table == table)
}

// Statement is what is understood of a statement.
type Statement struct {
	Kind   Kind
	Effect Effect // of a Define
	Tables []Name
	Label  string // of a savepoint; the name of an XA transaction that begins or ends
	Begins bool   // a CREATE whose rows follow in its transaction
	// Added are the columns of a Define whose Effect is Columns; Filled are those of them
	// that rows which were there have a default in.
	Added, Filled []string
	// IfThere are columns: a Define does nothing at all to a table that has none of them.
	// Otherwise, or if there are none, it has its Effect.
	IfThere []string
}

// harmless are first words of statements that change no row and no column.
var harmless = []string{
	"ANALYZE", "OPTIMIZE", "CHECK", "CHECKSUM", "FLUSH", "GRANT", "REVOKE", "INSTALL", "UNINSTALL", "CHANGE", "STOP", "RESET", "SHUTDOWN",
	"KILL", "USE", "CACHE", "BACKUP", "LOCK", "UNLOCK", "SHOW", "EXPLAIN", "DESCRIBE", "DESC", "PURGE", "SIGNAL", "RELEASE", "SET", "RESTART",
}

// maxTokens bounds what is read of a statement that defines something.
const maxTokens = 1 << 20

// Parse understands a statement as far as rows depend on it. What it does not know
// is a Change: nothing is taken for harmless that is not known to be.
func (q Query) Parse() Statement {
	s := q.scan()
	first, ok := s.next()
	if !ok { // a comment: what the server puts in place of an event that we would not understand
		return Statement{}
	}
	switch strings.ToUpper(first.text) {
	case "BEGIN":
		return Statement{Kind: Begin}
	case "COMMIT":
		return Statement{Kind: Commit}
	case "START", "ROLLBACK", "SAVEPOINT", "XA", "TRUNCATE", "SET", "ALTER", "CREATE", "DROP", "RENAME", "REPAIR":
	default:
		if first.kind == word && (tokens{first}).is(harmless...) {
			return Statement{}
		}
		return Statement{Kind: Change}
	}
	all := tokens{first}
	for t, ok := s.next(); ok; t, ok = s.next() {
		if all = append(all, t); len(all) > maxTokens {
			return Statement{Kind: Change}
		}
	}
	return all.parse(q)
}

func (t tokens) parse(q Query) Statement {
	first := strings.ToUpper(t[0].text)
	t = t[1:]
	switch first {
	case "START":
		if t.is("TRANSACTION") {
			return Statement{Kind: Begin}
		}
	case "ROLLBACK":
		t.skip("WORK")
		if t.skip("TO") {
			t.skip("SAVEPOINT")
			return Statement{Kind: RollbackTo, Label: t.label()}
		}
		return Statement{Kind: Rollback}
	case "SAVEPOINT":
		return Statement{Kind: Savepoint, Label: t.label()}
	case "XA":
		switch {
		case t.skip("COMMIT"):
			return Statement{Kind: XACommit, Label: t.join()}
		case t.skip("ROLLBACK"):
			return Statement{Kind: XARollback, Label: t.join()}
		case t.skip("START", "BEGIN"):
			return Statement{Kind: XA, Label: t.join()}
		}
		return Statement{Kind: XA}
	case "TRUNCATE":
		t.skip("TABLE")
		if n, ok := t.name(q.Schema); ok {
			return Statement{Kind: Truncate, Tables: []Name{n}}
		}
		return Statement{Kind: Change}
	case "SET": // SET STATEMENT ... FOR another one
		if t.skip("STATEMENT") {
			for i := range t {
				if t[i:].is("FOR") && i+1 < len(t) {
					return Query{Schema: q.Schema}.inner(t[i+1:])
				}
			}
		}
	case "ALTER":
		return t.alter(q.Schema)
	case "CREATE":
		return t.create(q.Schema)
	case "DROP":
		return t.drop(q.Schema)
	case "RENAME":
		return t.rename(q.Schema)
	case "REPAIR":
		t.skip("NO_WRITE_TO_BINLOG", "LOCAL", "TABLE", "TABLES")
		return Statement{Kind: Define, Effect: Rewrites, Tables: t.names(q.Schema)}
	}
	return Statement{}
}

// inner understands the statement within another.
func (q Query) inner(t tokens) Statement {
	switch {
	case t.is("TRUNCATE", "ALTER", "CREATE", "DROP", "RENAME", "REPAIR", "SET", "SAVEPOINT", "XA", "ROLLBACK", "START"):
		return t.parse(q)
	case t.is("BEGIN"):
		return Statement{Kind: Begin}
	case t.is("COMMIT"):
		return Statement{Kind: Commit}
	case t.is(harmless...):
		return Statement{}
	}
	return Statement{Kind: Change}
}

// join writes tokens in one form.
func (t tokens) join() string {
	var out strings.Builder
	for _, tok := range t {
		out.WriteString(tok.text + " ")
	}
	return out.String()
}

func (t tokens) label() string {
	if len(t) == 0 {
		return ""
	}
	return strings.ToLower(t[0].text)
}

// create understands CREATE. A table that is to be made only where there is none is
// none of ours: ours is there.
func (t tokens) create(schema string) Statement {
	t.skip("OR", "REPLACE")
	if t.skip("TEMPORARY") || !t.skip("TABLE") {
		return Statement{}
	}
	union := t.union(schema) // tables whose rows change by another name from here on
	if t.skip("IF", "NOT", "EXISTS") {
		if len(union) == 0 {
			return Statement{}
		}
		return Statement{Kind: Define, Effect: Rewrites, Tables: union}
	}
	n, ok := t.name(schema)
	if !ok {
		return Statement{Kind: Change}
	}
	begins := len(t) > 1 && t[len(t)-2:].is("START") && t[len(t)-1:].is("TRANSACTION")
	return Statement{Kind: Define, Effect: Rewrites, Tables: append(union, n), Begins: begins}
}

func (t tokens) drop(schema string) Statement {
	if t.skip("TEMPORARY") {
		return Statement{}
	}
	switch {
	case t.skip("TABLE") || t.skip("TABLES"):
		t.skip("IF", "EXISTS")
		return Statement{Kind: Define, Effect: Rewrites, Tables: t.names(schema)}
	case t.skip("DATABASE") || t.skip("SCHEMA"):
		t.skip("IF", "EXISTS")
		if n, ok := t.name(schema); ok {
			return Statement{Kind: Define, Effect: Rewrites, Tables: []Name{{Schema: n.Table}}}
		}
	}
	return Statement{}
}

func (t tokens) rename(schema string) Statement {
	if !t.skip("TABLE") && !t.skip("TABLES") {
		return Statement{}
	}
	s := Statement{Kind: Define, Effect: Rewrites}
	for _, part := range t.parts() {
		part.skip("IF", "EXISTS")
		for len(part) > 0 {
			if part.skip("TO") || part.skip("NOWAIT") {
				continue
			}
			if part.skip("WAIT") && len(part) > 0 {
				part = part[1:]
				continue
			}
			n, ok := part.name(schema)
			if !ok {
				break
			}
			s.Tables = append(s.Tables, n)
		}
	}
	return s
}
