package projections

import (
	"encoding/json"
	"fmt"
	"time"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// columnLife is the history of one column: a document of Columns.
type columnLife struct {
	Table     string         `json:"table"`
	Namespace string         `json:"namespace,omitempty"`
	Name      string         `json:"name"`
	Type      string         `json:"type"` // now, or when it was removed
	FirstSeen columnMoment   `json:"first_seen"`
	Removed   *columnMoment  `json:"removed"` // null while the column exists
	Changes   []columnChange `json:"changes"` // oldest first
}

// columnMoment is a version of the schema in which something was seen.
type columnMoment struct {
	Version  int       `json:"version"`
	Sequence uint64    `json:"sequence"`
	At       time.Time `json:"at"`
	Cause    string    `json:"cause"`
	SyncID   *string   `json:"sync_id"`
}

type columnChange struct {
	columnMoment
	What string `json:"what"` // type, nullable, source_type, removed, added (again)
	From string `json:"from"`
	To   string `json:"to"`
}

// ColumnQuery selects columns of one table, in all versions of the schema.
type ColumnQuery struct {
	Address event.Address
	Table   string // "table" or "namespace.table", exactly
	Column  string // exactly; "" for all
}

// Columns returns the history of each column that a table ever had, in the order
// in which the columns first appeared: since which version and time it exists,
// how it changed, and when it was removed. The documents distinguish tables of
// the same name in several namespaces. Columns returns ErrNotFound for an
// unknown source, and for a table or column that never existed. It reads the
// table in every version of the schema.
func (s *Store) Columns(q ColumnQuery) (page Page, err error) {
	db, done, err := s.using()
	if err != nil {
		return page, err
	}
	defer done()
	page.Sequence = s.position.Load()
	if err := s.wasThere(db, q.Address, 0); err != nil {
		return page, fmt.Errorf("columns of %s: %w", q.Address.Source, err)
	}
	prefix := layout.AddressKey(layout.KeySchema, q.Address)
	it, err := s.scan(db, prefix)
	if err != nil {
		return page, err
	}
	defer s.finish(it, &err)
	history := columnHistory{column: q.Column}
	// Versions are stored newest first, so the oldest is the last.
	for ok := it.Last(); ok; {
		if len(it.Key()) < len(prefix)+8 {
			return page, fmt.Errorf("%w: key of a schema", ErrDamaged)
		}
		version := append([]byte(nil), it.Key()[:len(prefix)+8]...)
		if err := s.readVersion(&schemaVersion{it: it, prefix: version}, q.Table, &history); err != nil {
			return page, err
		}
		ok = it.SeekLT(version)
	}
	if err := s.fault(it.Error()); err != nil {
		return page, err
	}
	if len(history.all) == 0 {
		return page, fmt.Errorf("columns of %s: %w", q.Table, ErrNotFound)
	}
	page.Count = len(history.all)
	page.JSON, err = json.Marshal(history.all)
	return page, err
}

// readVersion adds one version of the schema to the history.
func (s *Store) readVersion(v *schemaVersion, table string, history *columnHistory) error {
	entryKey := append(v.prefix[:len(v.prefix):len(v.prefix)], layout.PartEntry)
	if !v.it.SeekGE(entryKey) || string(v.it.Key()) != string(entryKey) {
		return fmt.Errorf("%w: a version of a schema without its entry", ErrDamaged)
	}
	entry, err := v.it.ValueAndErr()
	if err != nil {
		return s.fault(err)
	}
	var told struct {
		columnMoment
		DiscoveredAt time.Time `json:"discovered_at"`
	}
	if err := json.Unmarshal(entry, &told); err != nil {
		return fmt.Errorf("%w: entry of a schema: %w", ErrDamaged, err)
	}
	told.At = told.DiscoveredAt
	history.begin(told.columnMoment)
	var decodeErr error
	err = v.tables(s, table, 0, func(_ int, doc []byte) bool {
		var t event.Table
		if decodeErr = json.Unmarshal(doc, &t); decodeErr == nil {
			history.see(&t)
		}
		return decodeErr == nil
	})
	if err != nil {
		return err
	}
	if decodeErr != nil {
		return fmt.Errorf("%w: table of a schema: %w", ErrDamaged, decodeErr)
	}
	history.end()
	return nil
}

// columnHistory tracks the columns of a table from version to version.
type columnHistory struct {
	column string // the requested column; "" for all
	at     columnMoment
	all    []*columnLife
	places map[columnName]*columnState
}

type columnName struct{ namespace, table, column string }

type columnState struct {
	life *columnLife
	now  event.Column
	seen uint64 // sequence of the version that had it last
}

func (h *columnHistory) begin(at columnMoment) { h.at = at }

// see adds a table as it is in the current version.
func (h *columnHistory) see(t *event.Table) {
	for _, c := range t.Columns {
		if h.column != "" && c.Name != h.column {
			continue
		}
		name := columnName{t.Namespace, t.Name, c.Name}
		state := h.places[name]
		if state == nil {
			state = &columnState{life: &columnLife{Table: t.Name, Namespace: t.Namespace, Name: c.Name, FirstSeen: h.at, Changes: []columnChange{}}, now: c}
			if h.places == nil {
				h.places = map[columnName]*columnState{}
			}
			h.places[name] = state
			h.all = append(h.all, state.life)
		}
		h.compare(state, c)
		state.now, state.seen, state.life.Type = c, h.at.Sequence, c.Type
	}
}

func (h *columnHistory) compare(state *columnState, c event.Column) {
	if state.life.Removed != nil {
		state.life.Removed = nil
		h.change(state, "added", "", c.Type)
	}
	if state.now.Type != c.Type {
		h.change(state, "type", state.now.Type, c.Type)
	}
	if state.now.SourceType != c.SourceType {
		h.change(state, "source_type", state.now.SourceType, c.SourceType)
	}
	if state.now.Nullable != c.Nullable {
		h.change(state, "nullable", fmt.Sprint(state.now.Nullable), fmt.Sprint(c.Nullable))
	}
}

// end marks the columns that the current version no longer has.
func (h *columnHistory) end() {
	for _, state := range h.places {
		if state.seen != h.at.Sequence && state.life.Removed == nil {
			at := h.at
			state.life.Removed = &at
			h.change(state, "removed", state.now.Type, "")
		}
	}
}

func (h *columnHistory) change(state *columnState, what, from, to string) {
	state.life.Changes = append(state.life.Changes, columnChange{h.at, what, from, to})
}
