package btree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"headwater/connectors/driver"
)

const pageSize = 512

// file returns pages: an interior page over two leaves, of which the second has a
// record that goes on in an overflow page.
func file() []byte {
	b := make([]byte, 5*pageSize)
	root, left, right, over := b[pageSize:2*pageSize], b[2*pageSize:3*pageSize], b[3*pageSize:4*pageSize], b[4*pageSize:]
	root[0] = InteriorPage
	binary.BigEndian.PutUint16(root[3:], 1)
	binary.BigEndian.PutUint32(root[8:], 4) // to the right
	binary.BigEndian.PutUint16(root[12:], 500)
	copy(root[500:], []byte{0, 0, 0, 3, 2}) // page 3 has the rows up to 2
	left[0] = leafPage
	binary.BigEndian.PutUint16(left[3:], 2)
	binary.BigEndian.PutUint16(left[8:], 480)
	binary.BigEndian.PutUint16(left[10:], 490)
	copy(left[480:], []byte{5, 1, 3, 1, 13 + 2*1, 7, 'a'})
	copy(left[490:], []byte{2, 2, 2, 0})
	right[0] = leafPage
	binary.BigEndian.PutUint16(right[3:], 1)
	binary.BigEndian.PutUint16(right[8:], 300)
	text := 502
	payload := append([]byte{3, 0x80 | byte((13+2*text)>>7), byte((13 + 2*text) & 0x7f)}, bytes.Repeat([]byte("x"), text)...)
	least := (pageSize-12)*32/255 - 23
	local := least + (len(payload)-least)%(pageSize-4)
	if local > pageSize-35 {
		local = least
	}
	cell := append([]byte{0x80 | byte(len(payload)>>7), byte(len(payload) & 0x7f), 3}, payload[:local]...)
	copy(right[300:], binary.BigEndian.AppendUint32(cell, 5))
	copy(over[4:], payload[local:])
	return b
}

func treeOf(b []byte) *Tree {
	return NewTree(bytes.NewReader(b), Layout{Size: pageSize, usable: pageSize, Count: uint32(len(b) / pageSize)}, 2, 1<<20)
}

func TestRowsOfPages(t *testing.T) {
	var keys []int64
	row := make([]Value, 2)
	err := treeOf(file()).Rows(t.Context(), Everything, func(rowid int64, record []byte) error {
		keys = append(keys, rowid)
		_, err := DecodeRecord(record, []int{0, 1}, row)
		return err
	})
	if last := row[0].Bytes; err != nil || len(keys) != 3 || keys[2] != 3 || len(last) != 502 || bytes.Count(last, []byte("x")) != 502 {
		t.Errorf("rows %v, the last of %d bytes, %v", keys, len(last), err)
	}
	keys = nil
	err = treeOf(file()).Rows(t.Context(), Span{First: 2, Last: 2}, func(rowid int64, _ []byte) error {
		keys = append(keys, rowid)
		return nil
	})
	if err != nil || len(keys) != 1 || keys[0] != 2 {
		t.Errorf("row 2 is %v, %v", keys, err)
	}
}

// FuzzTree walks any bytes: row numbers rise, and what is wrong is ErrDamaged or a
// limit.
func FuzzTree(f *testing.F) {
	for at := 0; at < 5*pageSize; at += 37 {
		f.Add(file(), at, byte(at))
	}
	f.Fuzz(func(t *testing.T, b []byte, at int, mask byte) {
		if len(b) > 0 {
			b = bytes.Clone(b)
			b[uint(at)%uint(len(b))] ^= mask
		}
		check := func(err error) {
			var typed *driver.Error
			if err != nil && !errors.Is(err, ErrDamaged) && !errors.As(err, &typed) {
				t.Fatal(err)
			}
		}
		row := make([]Value, 3)
		before, first := int64(math.MinInt64), true
		check(treeOf(b).Rows(t.Context(), Everything, func(rowid int64, record []byte) error {
			if rowid <= before && !first {
				t.Fatalf("row %d behind %d", rowid, before)
			}
			before, first = rowid, false
			_, err := DecodeRecord(record, []int{0, 1, 2}, row)
			check(err)
			return nil
		}))
		check(treeOf(b).Leaves(t.Context(), func(bounds Span) {
			if bounds.First > bounds.Last {
				t.Fatalf("a leaf of the rows %+v", bounds)
			}
		}))
	})
}
