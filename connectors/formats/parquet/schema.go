package parquet

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"headwater/connectors/driver"
)

// fieldKind is what a field of a Parquet schema stands for.
type fieldKind uint8

const (
	leafField fieldKind = iota
	structField
	listField // its one child is the element
	mapField  // its children are key and value
	variantField
)

// field is a field of a Parquet schema, by the meaning of its levels. A value is
// there where the definition level of its leaves is def or more; a list or map
// has an element where it is element or more, and another one where the
// repetition level is rep.
type field struct {
	kind              fieldKind
	name              string
	nullable          bool
	def, element, rep int16
	children          []*field
	leaf              *leaf   // of a leafField
	leaves            []*leaf // of it and all below, in order
}

// leaf is a column of values.
type leaf struct {
	column   int // place in the file
	slot     int // place among the leaves of its top-level field
	def, rep int16
	descr    *schema.Column
	value    valueType
}

// schemaReader makes fields of the nodes of a schema, whose leaves come in the
// order of the file's columns.
type schemaReader struct {
	schema    *schema.Schema
	durations map[int]valueType // by column
	leaves    int
}

// fields returns the top-level fields of a file, under names that differ.
func (r *schemaReader) fields() ([]*field, error) {
	root := r.schema.Root()
	fields := make([]*field, 0, root.NumFields())
	for i := range root.NumFields() {
		f, err := r.field(root.Field(i), 0, 0)
		if err != nil {
			return nil, err
		}
		for slot, l := range f.leaves {
			l.slot = slot
		}
		fields = append(fields, f)
	}
	return fields, unique(fields)
}

// unique gives fields of one name different ones, and a name to those without,
// as for the columns of a CSV file.
func unique(fields []*field) error {
	used := map[string]bool{}
	for _, f := range fields {
		if !utf8.ValidString(f.name) || strings.ContainsRune(f.name, 0) {
			return driver.E(driver.ErrUnsupported, nil, "a field's name is not text: %q", f.name)
		}
		used[f.name] = true
	}
	seen := map[string]bool{}
	for i, f := range fields {
		name := f.name
		if name == "" {
			name = fmt.Sprintf("column_%d", i+1)
		}
		base := name
		for n := 2; seen[name] || name != f.name && used[name]; n++ {
			name = fmt.Sprintf("%s_%d", base, n)
		}
		f.name = name
		seen[name] = true
	}
	return nil
}

// field reads a node inside of what is there at the given levels.
func (r *schemaReader) field(n schema.Node, def, rep int16) (f *field, err error) {
	switch n.RepetitionType() {
	case parquet.Repetitions.Repeated:
		f, err = r.list(n.Name(), def, func() (*field, error) { return r.value(n, def+1, rep+1) }, rep+1)
	case parquet.Repetitions.Optional:
		if f, err = r.value(n, def+1, rep); err == nil {
			f.nullable = true
		}
	default:
		f, err = r.value(n, def, rep)
	}
	return f, err
}

// list makes a list that is there at def.
func (r *schemaReader) list(name string, def int16, element func() (*field, error), rep int16) (*field, error) {
	e, err := element()
	if err != nil {
		return nil, err
	}
	return &field{kind: listField, name: name, def: def, element: def + 1, rep: rep, children: []*field{e}, leaves: e.leaves}, nil
}

// value reads a node that is there at the given levels, whatever its repetition.
// A group that is annotated as what it does not look like is a struct.
func (r *schemaReader) value(n schema.Node, def, rep int16) (*field, error) {
	group, ok := n.(*schema.GroupNode)
	if !ok {
		return r.leaf(n.(*schema.PrimitiveNode), def, rep)
	}
	if group.NumFields() == 0 {
		return nil, driver.E(driver.ErrUnsupported, nil, "field %q is a group without fields", n.Name())
	}
	var repeated schema.Node
	if first := group.Field(0); group.NumFields() == 1 && first.RepetitionType() == parquet.Repetitions.Repeated {
		repeated = first
	}
	switch n.LogicalType().(type) {
	case schema.ListLogicalType:
		if repeated != nil {
			return r.list(n.Name(), def, func() (*field, error) { return r.elementOf(n, repeated, def+1, rep+1) }, rep+1)
		}
	case schema.MapLogicalType:
		if entry, ok := repeated.(*schema.GroupNode); ok && entry.NumFields() == 1 {
			return r.list(n.Name(), def, func() (*field, error) { return r.field(entry.Field(0), def+1, rep+1) }, rep+1)
		} else if ok && entry.NumFields() == 2 {
			f, err := r.group(entry, mapField, def+1, rep+1)
			if err == nil {
				f.name, f.def, f.element, f.rep = n.Name(), def, def+1, rep+1
			}
			return f, err
		}
	case schema.VariantLogicalType:
		return r.group(group, variantField, def, rep)
	}
	return r.group(group, structField, def, rep)
}

// elementOf reads the repeated field of a list. By the format's rules it is the
// element itself where it cannot be a wrapper: not a group, of several fields,
// of a field that is repeated, or called as old writers call elements.
func (r *schemaReader) elementOf(list, repeated schema.Node, def, rep int16) (*field, error) {
	group, ok := repeated.(*schema.GroupNode)
	if !ok || group.NumFields() != 1 || group.Field(0).RepetitionType() == parquet.Repetitions.Repeated || group.Name() == "array" || group.Name() == list.Name()+"_tuple" {
		return r.value(repeated, def, rep)
	}
	return r.field(group.Field(0), def, rep)
}

// group reads the fields of a group.
func (r *schemaReader) group(n *schema.GroupNode, kind fieldKind, def, rep int16) (*field, error) {
	f := &field{kind: kind, name: n.Name(), def: def}
	for i := range n.NumFields() {
		child, err := r.field(n.Field(i), def, rep)
		if err != nil {
			return nil, err
		}
		f.children = append(f.children, child)
		f.leaves = append(f.leaves, child.leaves...)
	}
	if err := unique(f.children); err != nil {
		return nil, err
	}
	return f, nil
}

func (r *schemaReader) leaf(n *schema.PrimitiveNode, def, rep int16) (*field, error) {
	if t := n.PhysicalType(); t < parquet.Types.Boolean || t > parquet.Types.FixedLenByteArray {
		return nil, driver.E(driver.ErrUnsupported, nil, "field %q is of physical type %d, which the format does not have", n.Name(), t)
	}
	l := &leaf{column: r.leaves, def: def, rep: rep, descr: r.schema.Column(r.leaves), value: valueTypeOf(n)}
	if duration, ok := r.durations[r.leaves]; ok {
		l.value = duration
	}
	r.leaves++
	return &field{kind: leafField, name: n.Name(), def: def, leaf: l, leaves: []*leaf{l}}, nil
}

// driverType returns the type of the column that the field becomes.
func (f *field) driverType() driver.Type {
	if f.kind == leafField {
		return f.leaf.value.driverType()
	}
	return driver.Of(driver.JSON)
}

// String returns the field's type for people.
func (f *field) String() string {
	var b bytes.Buffer
	nested := func(c *field) string {
		if c.nullable {
			return c.String() + ", nullable"
		}
		return c.String()
	}
	switch f.kind {
	case leafField:
		return f.leaf.value.String()
	case listField:
		return "list<" + f.children[0].name + ": " + nested(f.children[0]) + ">"
	case mapField:
		return "map<" + f.children[0].String() + ", " + nested(f.children[1]) + ">"
	case variantField:
		return "variant"
	}
	b.WriteString("struct<")
	for i, c := range f.children {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s: %s", c.name, c)
	}
	b.WriteByte('>')
	return b.String()
}
