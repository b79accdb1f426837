// Package btree reads the rows of a SQLite database file out of its pages. It
// trusts no byte of them: what breaks the format is ErrDamaged. Locks, logs and
// what the schema says of a table are its caller's business.
package btree

import (
	"context"
	"encoding/binary"
	"io"
	"math"

	"headwater/connectors/driver"
)

const (
	// InteriorPage is the kind of a page that leads to others.
	InteriorPage = 5
	leafPage     = 13
	deepest      = 20 // levels of a B-tree, which is what SQLite itself allows
	smallest     = 480
)

// Tree walks the B-tree of a rowid table, in the order of the row numbers. It
// trusts no byte of it: pages are visited at most as often as the file has any,
// row numbers must rise, so that no row comes twice and no walk is endless. It
// is not safe for concurrent use.
type Tree struct {
	pages
	Root    uint32 // the first page
	max     int64  // bytes of one record
	left    uint32
	last    int64 // row number, once seen is set
	seen    bool
	payload []byte
	scratch []byte
	// KeysOnly leaves the records out: their row numbers alone are wanted.
	KeysOnly bool
}

// NewTree returns the tree of a table whose first page is root, in a file of a
// layout. A record of more than maxRecord bytes is an ErrLimit.
func NewTree(file io.ReaderAt, l Layout, root uint32, maxRecord int64) *Tree {
	return &Tree{pages: pages{Layout: l, file: file}, Root: root, max: maxRecord}
}

// Span is row numbers from first to last, both among them.
type Span struct{ First, Last int64 }

// Everything is all row numbers.
var Everything = Span{math.MinInt64, math.MaxInt64}

// Rows gives the records whose row numbers are within s to f, until it returns
// an error. A record is valid until f returns.
func (t *Tree) Rows(ctx context.Context, s Span, f func(rowid int64, record []byte) error) error {
	if t.usable < smallest {
		return ErrDamaged
	}
	t.left, t.seen = t.Count, false
	return t.walk(t.Root, 0, Everything, s, func(n uint32, bounds Span) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return t.leaf(n, bounds, s, f)
	})
}

// Leaves gives the row numbers that each leaf page may hold to f, in order. Of
// the leaf pages it reads only the first below every interior page, to tell
// them from those.
func (t *Tree) Leaves(ctx context.Context, f func(bounds Span)) error {
	if t.usable < smallest {
		return ErrDamaged
	}
	t.left = t.Count
	return t.above(ctx, t.Root, 0, Everything, f)
}

func (t *Tree) above(ctx context.Context, n uint32, depth int, bounds Span, f func(bounds Span)) error {
	if t.left == 0 || depth >= deepest {
		return ErrDamaged
	}
	t.left--
	if err := ctx.Err(); err != nil {
		return err
	}
	b, err := t.page(n)
	if err != nil {
		return err
	}
	if b = content(b, n); b[0] != InteriorPage {
		f(bounds)
		return nil
	}
	children, err := childrenOf(b, n, bounds)
	if err != nil {
		return err
	}
	lowest := false
	for i, c := range children {
		if i == 0 {
			first, err := t.page(c.page)
			if err != nil {
				return err
			}
			lowest = content(first, c.page)[0] != InteriorPage
		}
		if lowest {
			f(c.bounds)
		} else if err := t.above(ctx, c.page, depth+1, c.bounds, f); err != nil {
			return err
		}
	}
	return nil
}

// child is a page below an interior page and the row numbers that it may hold.
type child struct {
	page   uint32
	bounds Span
}

// walk gives the leaf pages that may hold rows within s to leaf, in order.
func (t *Tree) walk(n uint32, depth int, bounds, s Span, leaf func(n uint32, bounds Span) error) error {
	if t.left == 0 || depth >= deepest {
		return ErrDamaged
	}
	t.left--
	b, err := t.page(n)
	if err != nil {
		return err
	}
	if b = content(b, n); b[0] != InteriorPage {
		return leaf(n, bounds)
	}
	children, err := childrenOf(b, n, bounds)
	if err != nil {
		return err
	}
	for _, c := range children {
		if c.bounds.Last < s.First {
			continue
		}
		if c.bounds.First > s.Last {
			return nil
		}
		if err := t.walk(c.page, depth+1, c.bounds, s, leaf); err != nil {
			return err
		}
	}
	return nil
}

// content returns a page from where its own header begins: the first page
// begins with that of the file. Cells are counted from the page's beginning.
func content(page []byte, n uint32) []byte {
	if n == 1 {
		return page[100:]
	}
	return page
}

// cellsOf returns the two-byte pointers to the cells of a page.
func cellsOf(head []byte, size int) ([]byte, error) {
	end := size + 2*int(binary.BigEndian.Uint16(head[3:]))
	if end > len(head) {
		return nil, ErrDamaged
	}
	return head[size:end], nil
}

// childrenOf reads an interior page, without its file header.
func childrenOf(head []byte, n uint32, bounds Span) ([]child, error) {
	pointers, err := cellsOf(head, 12)
	if err != nil {
		return nil, err
	}
	shift := 0
	if n == 1 {
		shift = 100
	}
	children := make([]child, 0, len(pointers)/2+1)
	first := bounds.First
	for ; len(pointers) > 0; pointers = pointers[2:] {
		at := int(binary.BigEndian.Uint16(pointers)) - shift
		if at < 0 || at+5 > len(head) {
			return nil, ErrDamaged
		}
		key, length := varint(head[at+4:])
		last := int64(key)
		if length == 0 || last < first || last > bounds.Last {
			return nil, ErrDamaged
		}
		children = append(children, child{binary.BigEndian.Uint32(head[at:]), Span{first, last}})
		if last == math.MaxInt64 {
			return nil, ErrDamaged // the page to the right would hold greater ones
		}
		first = last + 1
	}
	return append(children, child{binary.BigEndian.Uint32(head[8:]), Span{first, bounds.Last}}), nil
}

// leaf reads the records of a leaf page.
func (t *Tree) leaf(n uint32, bounds, s Span, f func(rowid int64, record []byte) error) error {
	page, err := t.page(n)
	if err != nil {
		return err
	}
	head := content(page, n)
	if head[0] != leafPage {
		return ErrDamaged
	}
	pointers, err := cellsOf(head, 8)
	if err != nil {
		return err
	}
	for ; len(pointers) > 0; pointers = pointers[2:] {
		at := int(binary.BigEndian.Uint16(pointers))
		if at >= len(page) {
			return ErrDamaged
		}
		cell := page[at:]
		size, a := varint(cell)
		key, b := varint(cell[a:])
		rowid := int64(key)
		if a == 0 || b == 0 || rowid < bounds.First || rowid > bounds.Last || t.seen && rowid <= t.last {
			return ErrDamaged
		}
		t.last, t.seen = rowid, true
		if rowid < s.First {
			continue
		}
		if rowid > s.Last {
			return nil
		}
		var payload []byte
		if !t.KeysOnly {
			if payload, err = t.record(cell[a+b:], size); err != nil {
				return err
			}
		}
		if err := f(rowid, payload); err != nil {
			return err
		}
	}
	return nil
}

// record returns a record of so many bytes that begins in a leaf page; what
// does not fit there is in overflow pages.
func (t *Tree) record(cell []byte, size uint64) ([]byte, error) {
	if size <= uint64(t.usable-35) {
		if size > uint64(len(cell)) {
			return nil, ErrDamaged
		}
		return cell[:size], nil
	}
	if size > uint64(t.Count)*uint64(t.usable) {
		return nil, ErrDamaged
	}
	if size > uint64(t.max) {
		return nil, driver.E(driver.ErrLimit, nil, "a row is larger than %d bytes", t.max)
	}
	least := (t.usable-12)*32/255 - 23
	local := least + (int(size)-least)%(t.usable-4)
	if local > t.usable-35 {
		local = least
	}
	if local+4 > len(cell) {
		return nil, ErrDamaged
	}
	if t.scratch == nil {
		t.scratch = make([]byte, t.Size)
	}
	var err error
	t.payload, err = t.overflow(append(t.payload[:0], cell[:local]...), binary.BigEndian.Uint32(cell[local:]), int(size), t.scratch)
	return t.payload, err
}
