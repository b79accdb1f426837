package parts

// sizes bound what an encoder holds, whatever the rows and columns of its
// table. A row group is in memory, encoded, until it is complete: its columns
// are made side by side and stand in the file one after the other.
type sizes struct {
	groupEncoded int64 // bytes of a row group
	groupRaw     int64 // and of its values in Arrow
	page         int   // bytes of a page before it is compressed
	pages        int   // of the open pages of all columns
	pageLeast    int   // of a page of a table of very many columns
	piece        int   // rows encoded at a time: they stay in the CPU's cache
	chunks       int   // columns times row groups of a file, all in its footer
	entries      int   // of a dictionary; one that needs more is given up
	entriesBytes int   // and their bytes
}

var usual = sizes{
	groupEncoded: 8 << 20,
	groupRaw:     64 << 20,
	page:         256 << 10,
	pages:        8 << 20,
	pageLeast:    2 << 10,
	piece:        8192,
	chunks:       64 << 10,
	entries:      16 << 10,
	entriesBytes: 256 << 10,
}

// pageSize is the size of a page of a table of so many columns.
func (s sizes) pageSize(columns int) int {
	return min(s.page, max(s.pageLeast, s.pages/max(1, columns)))
}
