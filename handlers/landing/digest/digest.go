// Package digest compares two large sets of rows without holding either: each
// side sums up the hashes of its rows in buckets of keys, in any order, and only
// the rows of buckets that differ are looked at one by one.
package digest

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"headwater/connectors/driver"
	"headwater/handlers/landing/content"
)

// Buckets is how many sums a side has.
const Buckets = 4096

// Bounds of what a side holds: keys of rows that are behind, and listed rows.
const (
	MaxBehind = 1 << 20
	MaxListed = 100_000
)

// Hash stands for values of a row. Hashes of different values are taken to
// differ.
type Hash [16]byte

// MarshalText returns 32 hexadecimal digits: a side may come from another
// process.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads what MarshalText wrote. Anything else is an error.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("a hash of %d digits", len(text))
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// Spec says what of the rows is compared. Both sides have the same one.
type Spec struct {
	Columns []string `json:"columns"` // compared; the order is that of Add's columns
	// Key are those of Columns that tell rows apart; without any, equal rows are
	// counted.
	Key []string `json:"key,omitempty"`
	// Cursor, with After, is one of Columns: rows whose cursor lies behind After
	// came later than what they are compared with, and are counted apart.
	Cursor string      `json:"cursor,omitempty"`
	Type   driver.Type `json:"type"` // of Cursor
	After  *string     `json:"after,omitempty"`
	// Only, if not nil, lists the rows of these buckets, up to MaxListed.
	Only []int `json:"only,omitempty"`
}

// Row is one listed row.
type Row struct {
	Key, Content Hash
	Text         string // of the key, for people; at most some 200 bytes
	Behind       bool
}

// Sums is what a side knows of its rows.
type Sums struct {
	Rows   int64 `json:"rows"`
	Behind int64 `json:"behind"` // of Rows
	// Counts and Contents are of the rows that are not behind, by bucket: how
	// many, and the sum of both halves of their hashes.
	Counts   []uint32    `json:"counts"`
	Contents [][2]uint64 `json:"contents"`
	Newer    []Hash      `json:"newer,omitempty"` // keys of the rows that are behind
	Over     bool        `json:"over,omitempty"`  // there were more of them than MaxBehind
	Listed   []Row       `json:"listed,omitempty"`
	Cut      bool        `json:"cut,omitempty"` // there were more than MaxListed
}

// Side sums up the rows of one side. It is not safe for concurrent use.
type Side struct {
	spec   Spec
	key    []int
	cursor int
	only   map[int]bool
	newer  map[Hash]bool // keys that the other side has in a newer form
	sums   Sums
}

// New returns a side without rows. newer are keys whose rows are left out, for
// the other side has them in a newer form.
func New(spec Spec, newer []Hash) *Side {
	s := &Side{spec: spec, cursor: -1, sums: Sums{Counts: make([]uint32, Buckets), Contents: make([][2]uint64, Buckets)}}
	for _, name := range spec.Key {
		s.key = append(s.key, slices.Index(spec.Columns, name))
	}
	if spec.After != nil {
		s.cursor = slices.Index(spec.Columns, spec.Cursor)
	}
	if spec.Only != nil {
		s.only = map[int]bool{}
		for _, b := range spec.Only {
			s.only[b] = true
		}
	}
	if len(newer) > 0 {
		s.newer = make(map[Hash]bool, len(newer))
		for _, h := range newer {
			s.newer[h] = true
		}
	}
	return s
}

// Sums returns what was summed up so far.
func (s *Side) Sums() Sums { return s.sums }

// Add sums up rows: columns in the order of Spec.Columns, nil for one that holds
// NULL throughout. Rows that skip reports are left out; it may be nil. The error
// is one of the cursor's order.
func (s *Side) Add(columns []arrow.Array, rows int, skip func(row int) bool) error {
	behind, err := s.behind(columns)
	if err != nil {
		return err
	}
	hashes := content.RowsOf(columns)
	keys := hashes
	if len(s.key) > 0 {
		of := make([]arrow.Array, len(s.key))
		for i, at := range s.key {
			of[i] = columns[at]
		}
		keys = content.RowsOf(of)
	}
	for row := range rows {
		if skip != nil && skip(row) {
			continue
		}
		whole := Hash(hashes.Hash(row))
		key := whole
		if keys != hashes {
			key = Hash(keys.Hash(row))
		}
		late := behind != nil && behind(row)
		s.sums.Rows++
		bucket := int(binary.LittleEndian.Uint64(key[:8]) % Buckets)
		if s.only[bucket] {
			s.list(columns, row, key, whole, late)
		}
		switch {
		case late:
			s.sums.Behind++
			if s.sums.Over = s.sums.Over || len(s.sums.Newer) >= MaxBehind; !s.sums.Over && len(s.key) > 0 && s.only == nil {
				s.sums.Newer = append(s.sums.Newer, key)
			}
		case s.newer[key]:
		default:
			s.sums.Counts[bucket]++
			s.sums.Contents[bucket][0] += binary.LittleEndian.Uint64(whole[:8])
			s.sums.Contents[bucket][1] += binary.LittleEndian.Uint64(whole[8:])
		}
	}
	return nil
}

func (s *Side) list(columns []arrow.Array, row int, key, content Hash, behind bool) {
	if len(s.sums.Listed) >= MaxListed {
		s.sums.Cut = true
		return
	}
	var texts []string
	for i := range columns {
		if len(s.key) > 0 && !slices.Contains(s.key, i) {
			continue
		}
		text := "NULL"
		if columns[i] != nil && !columns[i].IsNull(row) {
			text = strings.ToValidUTF8(columns[i].ValueStr(row), "\uFFFD")
		}
		if len(text) > 60 {
			text = strings.ToValidUTF8(text[:60], "") + "..."
		}
		texts = append(texts, s.spec.Columns[i]+"="+text)
		if len(texts) == 4 {
			break
		}
	}
	s.sums.Listed = append(s.sums.Listed, Row{key, content, strings.Join(texts, ", "), behind})
}

// behind returns which rows of a batch came later, nil for none.
func (s *Side) behind(columns []arrow.Array) (func(row int) bool, error) {
	if s.cursor < 0 || columns[s.cursor] == nil {
		return nil, nil
	}
	column := columns[s.cursor]
	last := driver.Largest(column)
	if last < 0 {
		return nil, nil
	}
	after := func(row int) (bool, error) {
		if column.IsNull(row) {
			return false, nil
		}
		order, err := driver.CompareCursors(s.spec.Type, driver.FormatCursor(column, row), *s.spec.After)
		return order > 0, err
	}
	if late, err := after(last); err != nil || !late {
		return nil, err // of the whole batch
	}
	return func(row int) bool {
		late, err := after(row)
		return late && err == nil
	}, nil
}
