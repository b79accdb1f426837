package records

import "iter"

// Index is a JSON document of records, validated and taken apart in one walk:
// where each record lies and each of its fields. Its zero value is ready, and
// can be used for one document after the other without allocating anew. It is
// not safe for concurrent use.
type Index struct {
	document []byte
	top      []span // fields of the document
	list     [2]int // the records' array
	records  []entry
	fields   []span // of all records
}

// entry is one record, whose fields begin at the given place.
type entry struct{ start, end, fields uint32 }

// span is one field: the key between its quotes, and the raw value.
type span struct {
	key, keyEnd, value, end uint32
	keyHas, has             uint8 // what stringEnd says of them
}

// Longest is how many bytes a document of an Index may have.
const Longest = 1<<32 - 1

// Read takes a document of at most Longest bytes and reports whether it is valid
// JSON, as Valid does. The records are those of the array at path, none where
// there is no array; with a nil list none are looked for. The document must not
// change while the Index is used.
func (x *Index) Read(document []byte, list *List) bool {
	x.document, x.top, x.records, x.fields, x.list = document, x.top[:0], x.records[:0], x.fields[:0], [2]int{}
	at := space(document, 0)
	i := at
	switch wanted := list != nil && !list.Single; {
	case i == len(document):
		return false
	case wanted && len(list.Path) == 0 && document[i] == '[':
		i = x.array(i, 0)
	case document[i] == '{':
		var path []string
		if wanted {
			path = list.Path
		}
		i = x.object(i, 0, path)
	default:
		i = validEnd(document, i, 0)
	}
	return i >= 0 && space(document, i) == len(document)
}

// Len returns how many records there are.
func (x *Index) Len() int { return len(x.records) }

// Top yields the fields of a document that is an object, in its order.
func (x *Index) Top() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for _, f := range x.top {
			if !yield(Unquote(x.document[f.key-1:f.keyEnd+1]), x.document[f.value:f.end]) {
				return
			}
		}
	}
}

// List returns the raw array of the records, nil where there is none.
func (x *Index) List() []byte {
	if x.list[1] == 0 {
		return nil
	}
	return x.document[x.list[0]:x.list[1]]
}

// Record returns the raw record at place n.
func (x *Index) Record(n int) []byte {
	return x.document[x.records[n].start:x.records[n].end]
}

// record returns the raw record at place n and its fields.
func (x *Index) record(n int) ([]byte, []span) {
	to := len(x.fields)
	if n+1 < len(x.records) {
		to = int(x.records[n+1].fields)
	}
	return x.Record(n), x.fields[x.records[n].fields:to]
}

// array walks the records at i and returns where their array ends, or -1.
func (x *Index) array(i, depth int) int {
	b := x.document
	x.list[0] = i
	i = space(b, i+1)
	if i < len(b) && b[i] == ']' {
		x.list[1] = i + 1
		return i + 1
	}
	for i < len(b) {
		start, fields := i, len(x.fields)
		if b[i] == '{' {
			x.fields, i = walk(b, i, depth+1, x.fields)
		} else {
			i = validEnd(b, i, depth+1)
		}
		if i < 0 {
			return -1
		}
		x.records = append(x.records, entry{uint32(start), uint32(i), uint32(fields)})
		if i = space(b, i); i == len(b) {
			return -1
		}
		switch b[i] {
		case ']':
			x.list[1] = i + 1
			return i + 1
		case ',':
			i = space(b, i+1)
		default:
			return -1
		}
	}
	return -1
}

// object walks the object at i, which holds the records at path if that is not
// empty, and returns where it ends, or -1.
func (x *Index) object(i, depth int, path []string) int {
	if depth == deepestJSON {
		return -1
	}
	b, found := x.document, len(path) == 0
	for first := true; ; first = false {
		i = space(b, i+1)
		if first && i < len(b) && b[i] == '}' {
			return i + 1
		}
		var f span
		if f, i = keyAt(b, i); i < 0 {
			return -1
		}
		switch {
		case i >= len(b):
			return -1
		case !found && string(Unquote(b[f.key-1:f.keyEnd+1])) == path[0]:
			found = true // the first of that name
			switch {
			case b[i] == '[' && len(path) == 1:
				i = x.array(i, depth+1)
			case b[i] == '{' && len(path) > 1:
				i = x.object(i, depth+1, path[1:])
			default:
				i = validEnd(b, i, depth+1)
			}
		default:
			i = validEnd(b, i, depth+1)
		}
		if i < 0 {
			return -1
		}
		if f.end = uint32(i); depth == 0 {
			x.top = append(x.top, f)
		}
		if i = space(b, i); i == len(b) {
			return -1
		}
		if b[i] == '}' {
			return i + 1
		}
		if b[i] != ',' {
			return -1
		}
	}
}

// keyAt reads the key at i and returns where its value begins, or -1.
func keyAt(b []byte, i int) (f span, value int) {
	if i >= len(b) || b[i] != '"' {
		return f, -1
	}
	end, has := stringEnd(b, i)
	if end < 0 {
		return f, -1
	}
	f.key, f.keyEnd, f.keyHas = uint32(i+1), uint32(end-1), has
	if i = space(b, end); i == len(b) || b[i] != ':' {
		return f, -1
	}
	i = space(b, i+1)
	f.value = uint32(i)
	return f, i
}

// walk appends the fields of the object at i and returns where it ends, or -1.
func walk(b []byte, i, depth int, fields []span) ([]span, int) {
	if depth >= deepestJSON {
		return fields, -1
	}
	for first := true; ; first = false {
		i = space(b, i+1)
		if first && i < len(b) && b[i] == '}' {
			return fields, i + 1
		}
		var f span
		if f, i = keyAt(b, i); i < 0 || i >= len(b) {
			return fields, -1
		}
		switch c := b[i]; {
		case c == '"':
			i, f.has = stringEnd(b, i)
		case c-'0' <= 9 || c == '-':
			i = validNumber(b, i)
		default:
			f.has = beyond7 // perhaps
			i = validEnd(b, i, depth+1)
		}
		if i < 0 {
			return fields, -1
		}
		f.end = uint32(i)
		fields = append(fields, f)
		if i = space(b, i); i == len(b) {
			return fields, -1
		}
		if b[i] == '}' {
			return fields, i + 1
		}
		if b[i] != ',' {
			return fields, -1
		}
	}
}
