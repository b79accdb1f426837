package binlog

// alter understands ALTER: which table, and the most that one of its parts does.
func (t tokens) alter(schema string) Statement {
	t.skip("ONLINE")
	ignore := t.skip("IGNORE")
	if !t.skip("TABLE") {
		return Statement{} // a database, a user, a view, a sequence
	}
	t.skip("IF", "EXISTS")
	n, ok := t.name(schema)
	if !ok {
		return Statement{Kind: Change}
	}
	s := Statement{Kind: Define, Tables: []Name{n}}
	if ignore { // leaves out rows that are in the way of a new key
		s.Effect = Rewrites
	}
	if t.skip("WAIT") && len(t) > 0 {
		t = t[1:]
	}
	t.skip("NOWAIT")
	for _, part := range t.parts() {
		s.part(part, schema)
	}
	if len(s.IfThere) > 0 {
		if s.Effect != Nothing { // something is done in any case
			s.IfThere = nil
		}
		s.Effect = Rewrites
	}
	if s.Effect == Rewrites {
		s.Added, s.Filled = nil, nil
	}
	if s.Effect == Nothing {
		return Statement{}
	}
	return s
}

// raise has the statement do no less than an effect.
func (s *Statement) raise(e Effect) { s.Effect = max(s.Effect, e) }

// part understands one of an ALTER's parts.
func (s *Statement) part(t tokens, schema string) {
	switch {
	case len(t) == 0:
	case t.skip("ADD"):
		s.add(t)
	case t.skip("DROP"):
		s.dropped(t)
	case t.skip("RENAME"):
		if t.is("INDEX", "KEY") {
			return
		}
		s.raise(Rewrites)
		if t.is("COLUMN") {
			return
		}
		t.skip("TO", "AS")
		t.mark("=")
		if n, ok := t.name(schema); ok {
			s.Tables = append(s.Tables, n)
		}
	case t.skip("ALTER"):
		// A default is of rows to come; a constraint may be one that deletes.
		if t.is("CONSTRAINT", "CHECK") {
			s.raise(Columns)
		}
	case t.skip("EXCHANGE", "CONVERT"):
		s.raise(Rewrites)
		for i := range t {
			if rest := t[i:]; rest.skip("TABLE") {
				if n, ok := rest.name(schema); ok {
					s.Tables = append(s.Tables, n)
				}
			}
		}
	case t.is("MODIFY", "CHANGE"): // before what looks for words that a column may have as its name
		s.raise(Rewrites)
	case t.skip("PARTITION"): // BY
	case t.is("ANALYZE", "OPTIMIZE", "REBUILD", "CHECK", "COALESCE", "REORGANIZE", "REMOVE", "ENABLE", "DISABLE", "FORCE", "ORDER", "ALGORITHM", "LOCK"):
	case t.has("UNION"):
		s.raise(Rewrites)
		s.Tables = append(s.Tables, t.union(schema)...)
	case t.has("ENGINE"):
		if !t.has("InnoDB", "Aria", "MyISAM") {
			s.raise(Rewrites)
		}
	case t.is("COMMENT", "AUTO_INCREMENT", "ROW_FORMAT", "STATS_PERSISTENT", "STATS_AUTO_RECALC", "STATS_SAMPLE_PAGES", "KEY_BLOCK_SIZE", "MAX_ROWS", "MIN_ROWS",
		"AVG_ROW_LENGTH", "CHECKSUM", "DELAY_KEY_WRITE", "PACK_KEYS", "DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "PAGE_COMPRESSED", "PAGE_COMPRESSION_LEVEL",
		"PAGE_CHECKSUM", "TRANSACTIONAL", "ENCRYPTED", "ENCRYPTION_KEY_ID", "COMPRESSION", "ENCRYPTION", "INSERT_METHOD"):
		// Of the table, or for columns to come. Several may stand without commas.
	default:
		s.raise(Rewrites)
	}
}

// add understands ADD.
func (s *Statement) add(t tokens) {
	if t.is("INDEX", "KEY", "FULLTEXT", "SPATIAL", "UNIQUE", "PARTITION") {
		return
	}
	for rest := t; len(rest) > 0; rest = rest[1:] {
		if rest.cascades() { // until somebody sees the key, it changes rows without a word
			s.raise(Rewrites)
			return
		}
	}
	if t.is("FOREIGN", "CHECK") || t.is("CONSTRAINT") && !t.has("PRIMARY") {
		s.raise(Columns)
		return
	}
	if t.is("PRIMARY", "PERIOD", "SYSTEM", "CONSTRAINT") {
		s.raise(Rewrites)
		return
	}
	t.skip("COLUMN")
	n, ok := t.name("")
	if t.is("NOT") || !ok { // IF NOT EXISTS, or several in parentheses: who knows what came of it
		s.raise(Rewrites)
		return
	}
	s.raise(Columns)
	s.Added = append(s.Added, n.Table)
	for ; len(t) > 1; t = t[1:] {
		if t.is("DEFAULT") && !t[1:].is("NULL") {
			s.Filled = append(s.Filled, n.Table)
			return
		}
	}
}

// dropped understands DROP.
func (s *Statement) dropped(t tokens) {
	switch {
	case t.is("INDEX", "KEY"):
	case t.is("FOREIGN", "CONSTRAINT", "CHECK"):
		s.raise(Columns)
	default: // of a column, too: one of its name may come later, and has none of its values
		t.skip("COLUMN")
		if t.skip("IF") && t.skip("EXISTS") {
			if n, ok := t.name(""); ok && n.Schema == "" && !t.is("FOR") {
				s.IfThere = append(s.IfThere, n.Table)
				return
			}
		}
		s.raise(Rewrites)
	}
}
