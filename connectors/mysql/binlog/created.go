package binlog

// Created is what SHOW CREATE TABLE says of a table that the catalog does not show to an
// account which has no right but SELECT.
type Created struct {
	Cascades string // a foreign key by which the server changes rows of the table, "" if there is none
	Union    []Name // the tables through which a MERGE table writes
}

// ParseCreated understands a CREATE TABLE as the server writes it.
func ParseCreated(sql, schema string) (c Created) {
	s := scanner{sql: sql, mode: modeNoBackslash} // as sessions of ours have it
	var all tokens
	for t, ok := s.next(); ok && len(all) <= maxTokens; t, ok = s.next() {
		all = append(all, t)
	}
	c.Union = all.union(schema)
	name, foreign := "", false
	for t := all; len(t) > 1; t = t[1:] {
		switch {
		case t.is("CONSTRAINT"):
			name, foreign = t[1].text, false
		case t.is("FOREIGN") && t[1:].is("KEY"):
			foreign = true
		case foreign && t.cascades():
			c.Cascades = name
			return c
		}
	}
	return c
}

// cascades reports whether a rule of a foreign key comes next that changes rows of the
// table that has the key.
func (t tokens) cascades() bool {
	return len(t) > 2 && t.is("ON") && t[1:].is("DELETE", "UPDATE") && t[2:].is("CASCADE", "SET")
}

// union returns the tables that UNION=(...) names.
func (t tokens) union(schema string) []Name {
	for ; len(t) > 2; t = t[1:] {
		if !t.is("UNION") {
			continue
		}
		rest := t[1:]
		rest.mark("=")
		if rest.mark("(") && !rest.is("SELECT", "VALUES", "WITH", "TABLE") {
			return rest.names(schema)
		}
	}
	return nil
}
