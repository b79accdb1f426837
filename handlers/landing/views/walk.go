package views

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// kind is what an Avro schema describes.
type kind int

const (
	kindNull kind = iota
	kindBoolean
	kindNumber // int, long, enum
	kindFloat
	kindDouble
	kindBytes // bytes, string
	kindFixed
	kindArray
	kindMap
	kindUnion
	kindRecord
)

// schema is an Avro schema, as far as copying needs it.
type schema struct {
	kind   kind
	size   int       // of fixed
	of     []*schema // items, values, branches or fields
	fields []string  // names of a record's
}

// deepest bounds how far schemas and values nest.
const deepest = 32

func parseSchema(text []byte) (*schema, error) {
	return parseNode(text, map[string]*schema{}, 0)
}

var primitives = map[string]kind{"null": kindNull, "boolean": kindBoolean, "int": kindNumber, "long": kindNumber,
	"float": kindFloat, "double": kindDouble, "bytes": kindBytes, "string": kindBytes}

// parseNode reads a schema. named has those that have a name so far.
func parseNode(text json.RawMessage, named map[string]*schema, depth int) (*schema, error) {
	if depth > deepest {
		return nil, errors.New("its schema nests too deep")
	}
	var name string
	if json.Unmarshal(text, &name) == nil {
		if k, ok := primitives[name]; ok {
			return &schema{kind: k}, nil
		}
		if s, ok := named[name]; ok {
			return s, nil
		}
		return nil, fmt.Errorf("its schema has an unknown type %.40q", name)
	}
	var branches []json.RawMessage
	if json.Unmarshal(text, &branches) == nil {
		s := &schema{kind: kindUnion}
		return s, s.add(named, depth, branches...)
	}
	var doc struct {
		Type          json.RawMessage
		Name          string
		Size          int
		Items, Values json.RawMessage
		Fields        []struct {
			Name string
			Type json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("its schema: %w", err)
	}
	if json.Unmarshal(doc.Type, &name) != nil {
		return parseNode(doc.Type, named, depth+1)
	}
	s := &schema{}
	if doc.Name != "" {
		named[doc.Name] = s
	}
	switch name {
	case "array":
		s.kind = kindArray
		return s, s.add(named, depth, doc.Items)
	case "map":
		s.kind = kindMap
		return s, s.add(named, depth, doc.Values)
	case "fixed":
		s.kind, s.size = kindFixed, doc.Size
		return s, nil
	case "enum":
		s.kind = kindNumber
		return s, nil
	case "record":
		s.kind = kindRecord
		for _, f := range doc.Fields {
			s.fields = append(s.fields, f.Name)
			if err := s.add(named, depth, f.Type); err != nil {
				return nil, err
			}
		}
		return s, nil
	}
	k, ok := primitives[name]
	if !ok {
		return nil, fmt.Errorf("its schema has an unknown type %.40q", name)
	}
	s.kind = k
	return s, nil
}

func (s *schema) add(named map[string]*schema, depth int, texts ...json.RawMessage) error {
	for _, text := range texts {
		of, err := parseNode(text, named, depth+1)
		if err != nil {
			return err
		}
		s.of = append(s.of, of)
	}
	return nil
}

// walk copies records into out.
type walk struct {
	views *Views
	ctx   context.Context // of the request for the view
	out   []byte

	asIs   bool  // what is at hand has names of a table's own
	status int64 // of the manifest entry at hand
	file   entry // the file or manifest at hand
	bounds bool  // a bound of names of files is at hand
}

// entry is what was read so far of one file that a record is about.
type entry struct {
	content int64
	path    string
	format  string
}

// copy copies one value.
func (w *walk) copy(s *schema, in *source, depth int) error {
	if depth > deepest {
		return errors.New("its values nest too deep")
	}
	switch s.kind {
	case kindNull:
		return nil
	case kindBoolean:
		return w.raw(in, 1)
	case kindFloat:
		return w.raw(in, 4)
	case kindDouble:
		return w.raw(in, 8)
	case kindFixed:
		return w.raw(in, s.size)
	case kindNumber:
		n, err := in.long()
		w.out = appendLong(w.out, n)
		return err
	case kindBytes:
		content, err := in.bytes()
		w.out = appendBytes(w.out, content)
		return err
	case kindUnion:
		branch, err := w.branch(s, in)
		if err != nil {
			return err
		}
		return w.copy(branch, in, depth+1)
	case kindArray, kindMap:
		return w.blocks(s, in, depth)
	}
	for i, of := range s.of {
		if err := w.field(s.fields[i], of, in, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) raw(in *source, n int) error {
	content, err := in.take(n)
	w.out = append(w.out, content...)
	return err
}

// branch copies which branch of a union follows.
func (w *walk) branch(s *schema, in *source) (*schema, error) {
	n, err := in.long()
	if err != nil {
		return nil, err
	}
	if n < 0 || n >= int64(len(s.of)) {
		return nil, errors.New("a union has no such branch")
	}
	w.out = appendLong(w.out, n)
	return s.of[n], nil
}

// blocks copies an array or map. Sizes of blocks, which may be there to skip them,
// are left out: what is in them changes its size.
func (w *walk) blocks(s *schema, in *source, depth int) error {
	for {
		n, err := in.long()
		if err != nil {
			return err
		}
		if n < 0 {
			if _, err := in.long(); err != nil {
				return err
			}
			n = -n
		}
		// An item may take no byte, so how many there are has a bound of its own.
		if n < 0 || n > int64(len(in.rest))+1 {
			return errShort
		}
		w.out = appendLong(w.out, n)
		if n == 0 {
			return nil
		}
		for ; n > 0; n-- {
			if s.kind == kindMap {
				key, err := in.bytes()
				if err != nil {
					return err
				}
				w.out = appendBytes(w.out, key)
			}
			if err := w.copy(s.of[0], in, depth+1); err != nil {
				return err
			}
		}
	}
}

// field copies a field of a record, whose name says what it is in a manifest list
// or manifest.
func (w *walk) field(name string, s *schema, in *source, depth int) error {
	if w.asIs {
		return w.copy(s, in, depth)
	}
	switch name {
	case "partition": // its fields are called as the table's partitions are
		w.asIs = true
		defer func() { w.asIs = false }()
	case "status":
		return w.number(s, in, depth, func(n int64) (int64, error) { w.status = n; return n, nil })
	case "data_file":
		w.file = entry{}
	case "content":
		return w.number(s, in, depth, func(n int64) (int64, error) { w.file.content = n; return n, nil })
	case "file_format":
		return w.text(s, in, depth, func(text string) string { w.file.format = text; return text })
	case "file_path", "manifest_path":
		return w.text(s, in, depth, func(text string) string { w.file.path = text; return w.views.Named(text) })
	case "referenced_data_file":
		return w.text(s, in, depth, w.views.Named)
	case "file_size_in_bytes":
		return w.number(s, in, depth, w.fileSize)
	case "manifest_length":
		return w.number(s, in, depth, func(int64) (int64, error) { return w.views.size(w.ctx, w.file.path) })
	case "key":
		return w.number(s, in, depth, func(n int64) (int64, error) { w.bounds = n == deletedFileID; return n, nil })
	case "value":
		if w.bounds { // only of lower and upper bounds: other values of a file's columns are numbers
			return w.text(s, in, depth, w.views.Named)
		}
	}
	return w.copy(s, in, depth)
}

// fileSize returns the size of a file as it is shown. Of one that went away it is
// what it was.
func (w *walk) fileSize(n int64) (int64, error) {
	_, ours := w.views.Key(w.file.path)
	if !ours || w.file.content != contentPositionDeletes || !isParquet(w.file.format) || w.status == statusDeleted {
		return n, nil
	}
	size, err := w.views.size(w.ctx, w.file.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("a file of deletes that it names is gone from the lake: %w", err)
	}
	return size, err
}

// number copies a number as change returns it. Of a field that holds none, in
// records of another make, it copies what is there.
func (w *walk) number(s *schema, in *source, depth int, change func(int64) (int64, error)) error {
	if s.kind == kindUnion {
		var err error
		if s, err = w.branch(s, in); err != nil {
			return err
		}
	}
	if s.kind != kindNumber {
		return w.copy(s, in, depth)
	}
	n, err := in.long()
	if err == nil {
		n, err = change(n)
	}
	w.out = appendLong(w.out, n)
	return err
}

// text is number for a text or bytes.
func (w *walk) text(s *schema, in *source, depth int, change func(string) string) error {
	if s.kind == kindUnion {
		var err error
		if s, err = w.branch(s, in); err != nil {
			return err
		}
	}
	if s.kind != kindBytes {
		return w.copy(s, in, depth)
	}
	content, err := in.bytes()
	if err == nil {
		w.out = appendBytes(w.out, []byte(change(string(content))))
	}
	return err
}
