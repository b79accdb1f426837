package projections

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"headwater/projections/layout"
)

// Page is one page of a list of documents.
type Page struct {
	JSON     []byte // a JSON array of documents, as stored
	Count    int
	Next     string // cursor of the next page; "" on the last
	Sequence uint64 // the page reflects the log up to at least this sequence
}

// pageQuery is what all queries of pages have in common.
type pageQuery struct {
	what   string // as errors name it
	bound  []byte // ties the cursor to the query
	cursor string // Page.Next of the previous page
	place  int    // size of a place in bytes; 0 for any that begins with a sequence
	limit  int    // documents per page; 0 for all
}

// pageOf reads one page from a snapshot. walk visits the documents from a place
// on, nil for the first, and calls add with each and its own place until add
// returns false. pageOf returns ErrBadCursor for a cursor of another query.
func (s *Store) pageOf(q pageQuery, walk func(db pebble.Reader, place []byte, add func(place, doc []byte) bool) error) (page Page, err error) {
	place, err := readCursor(q.cursor, q.bound)
	if err == nil && place != nil && (len(place) < 8 || q.place != 0 && len(place) != q.place) {
		err = ErrBadCursor
	}
	if err != nil {
		return page, fmt.Errorf("%s: %w", q.what, err)
	}
	page.Sequence = s.position.Load() // before the snapshot, which may show more
	db, done, err := s.snapshot()
	if err != nil {
		return Page{}, err
	}
	defer done(&err)
	out := []byte{'['}
	err = walk(db, place, func(place, doc []byte) bool {
		if q.limit > 0 && page.Count == q.limit {
			page.Next = makeCursor(q.bound, place)
			return false
		}
		if page.Count++; page.Count > 1 {
			out = append(out, ',')
		}
		out = append(out, doc...)
		return true
	})
	page.JSON = append(out, ']')
	return page, err
}

// documentAt returns a stored document and its state, decoded into a State, a part
// of what folding keeps beside the document. what is how errors name it.
func documentAt[State any](s *Store, db pebble.Reader, k []byte, what string) (state State, doc []byte, err error) {
	v, err := s.get(db, k)
	if err != nil {
		return state, nil, fmt.Errorf("%s: %w", what, err)
	}
	head, doc, err := layout.Unframe(v)
	if err != nil {
		return state, nil, err
	}
	if err := json.Unmarshal(head, &state); err != nil {
		return state, nil, fmt.Errorf("%w: %s: %w", ErrDamaged, what, err)
	}
	return state, doc, nil
}

// cursorBinding is the number of bytes that tie a cursor to its query.
const cursorBinding = 8

// binding returns a hash of what a query selects.
func binding(query ...any) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", query))
	return sum[:cursorBinding]
}

// makeCursor returns an opaque cursor for the page after place.
func makeCursor(bound, place []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(bytes.Clone(bound), place...))
}

// readCursor returns the place of a cursor, or nil for "". It returns
// ErrBadCursor for a cursor of another query.
func readCursor(cursor string, bound []byte) ([]byte, error) {
	if cursor == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) <= cursorBinding || !bytes.Equal(b[:cursorBinding], bound) {
		return nil, ErrBadCursor
	}
	return b[cursorBinding:], nil
}
