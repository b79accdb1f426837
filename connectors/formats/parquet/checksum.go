package parquet

import (
	"bufio"
	"errors"
	"hash/crc32"
	"io"
)

var errChecksum = errors.New("a page does not have the checksum that it says")

// checkPages compares the pages of a column chunk of so many bytes with their
// checksums, which the library passes over. Only a chunk whose first page has one
// is read for it. What is wrong with a page besides is for who reads it to find.
func checkPages(r io.ReaderAt, start, length int64) error {
	pages := bufio.NewReaderSize(io.NewSectionReader(r, start, length), 16<<10)
	for {
		var head []byte
		var page *thrift
		var size, sum int64
		summed := false
		for n := 256; page == nil || page.bad; n *= 4 {
			more, err := pages.Peek(n)
			if len(more) == len(head) || err != nil && err != io.EOF {
				return nil
			}
			head, page, summed = more, &thrift{b: more}, false
			page.fields(func(id int16, kind byte) {
				switch {
				case kind == 5 && id == 3:
					size = page.zigzag()
				case kind == 5 && id == 4:
					sum, summed = page.zigzag(), true
				default:
					page.skip(kind)
				}
			})
		}
		if !summed || page.at > len(head) {
			return nil
		}
		_, _ = pages.Discard(page.at) // it lies in what was peeked at
		sums := crc32.NewIEEE()
		if n, err := io.CopyN(sums, pages, size); err != nil || n != size {
			return nil
		}
		if sums.Sum32() != uint32(sum) {
			return errChecksum
		}
	}
}
