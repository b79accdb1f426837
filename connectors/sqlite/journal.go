package sqlite

import (
	"encoding/binary"
	"io"
	"math"

	"headwater/connectors/sqlite/btree"
)

const (
	journalMagic  = "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
	journalHeader = 28
)

// journal is a rollback journal that a program left in the middle of a transaction:
// pages as they were before.
type journal struct {
	size  int              // of a page
	pages uint32           // of the database before the transaction
	at    map[uint32]int64 // where the content of a page before it begins
}

// over reports whether a journal belongs to no transaction: the header of one that is
// kept (PERSIST) or cut off (TRUNCATE) is zero.
func over(file io.ReaderAt) bool {
	var first [1]byte
	n, _ := file.ReadAt(first[:], 0)
	return n == 0 || first[0] == 0
}

// readJournal returns the pages that SQLite would restore, up to the first with a wrong
// checksum: that one had not reached the disk, so its page of the database was not
// written. A journal without a header has none.
func readJournal(file io.ReaderAt, length int64) (*journal, error) {
	j := &journal{at: map[uint32]int64{}}
	var header [journalHeader]byte
	for at := int64(0); at+journalHeader <= length; {
		if err := btree.ReadAt(file, header[:], at); err != nil {
			return nil, err
		}
		if string(header[:8]) != journalMagic {
			return j, nil
		}
		be := binary.BigEndian
		records, nonce, pages := be.Uint32(header[8:]), be.Uint32(header[12:]), be.Uint32(header[16:])
		sector, size := int64(be.Uint32(header[20:])), int(be.Uint32(header[24:]))
		if j.size == 0 {
			if size < 512 || size > 65536 || size&(size-1) != 0 || sector < 32 || sector > 65536 || sector&(sector-1) != 0 {
				return nil, btree.ErrDamaged
			}
			j.size, j.pages = size, pages
		}
		if size != j.size || at+sector > length {
			return j, nil
		}
		at += sector
		record := int64(4 + j.size + 4)
		if records == math.MaxUint32 { // written without waiting for the disk
			records = uint32(min((length-at)/record, math.MaxUint32-1))
		}
		done, err := j.records(file, &at, length, records, nonce)
		if err != nil || done {
			return j, err
		}
		at = (at + sector - 1) / sector * sector
	}
	return j, nil
}

// records reads the records behind a header, and reports whether there are fewer than it
// says.
func (j *journal) records(file io.ReaderAt, at *int64, length int64, n, nonce uint32) (done bool, err error) {
	record := make([]byte, 4+j.size+4)
	locks := uint32(pendingByte/j.size) + 1 // the page that holds no content
	for ; n > 0; n-- {
		if *at+int64(len(record)) > length {
			return true, nil
		}
		if err := btree.ReadAt(file, record, *at); err != nil {
			return true, err
		}
		page, sum := binary.BigEndian.Uint32(record), nonce
		content := record[4 : 4+j.size]
		for i := j.size - 200; i > 0; i -= 200 {
			sum += uint32(content[i])
		}
		if page == 0 || page == locks || sum != binary.BigEndian.Uint32(record[4+j.size:]) {
			return true, nil
		}
		if page <= j.pages {
			j.at[page] = *at + 4
		}
		*at += int64(len(record))
	}
	return false, nil
}

// super reports whether a journal is of a transaction over several files. Its last bytes
// then name the journal that decides for all of them.
func super(file io.ReaderAt, length int64) bool {
	var tail [16]byte
	if length < int64(len(tail)) || btree.ReadAt(file, tail[:], length-int64(len(tail))) != nil {
		return false
	}
	named := int64(binary.BigEndian.Uint32(tail[:]))
	return string(tail[8:]) == journalMagic && named > 0 && named < length
}
