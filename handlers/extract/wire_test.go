package extract

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"headwater/handlers/landing/parts"
)

// discarded is where the parts of a child that a test makes up go.
type discarded struct{}

func (d *discarded) NextName() string { return "next" }

func (d *discarded) Create(string) (io.WriteCloser, error) { return discardedFile{}, nil }

type discardedFile struct{}

func (discardedFile) Write(p []byte) (int, error) { return len(p), nil }
func (discardedFile) Close() error                { return nil }

func frame(kind byte, payload ...byte) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(payload))), payload...)
}

func message(t testing.TB, m ChangesMessage) []byte {
	m.seal()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return frame(frameChange, b...)
}

// believed reads what a child sends as the service does, and returns the flushes that
// it believes.
func believed(sent []byte) (flushes []Flush, err error) {
	u := newUploads(&discarded{}, nil, &discarded{})
	defer u.close()
	r := bufio.NewReader(bytes.NewReader(sent))
	for {
		kind, payload, err := receive(r)
		if err != nil {
			return flushes, err
		}
		switch kind {
		case frameCreate, frameBytes, frameEnd:
			err = u.take(kind, payload)
		case frameChange:
			var m *ChangesMessage
			if err = json.Unmarshal(payload, &m); err == nil && m == nil {
				err = errProtocol
			}
			if err == nil {
				m.unseal()
				err = u.nameChanges(m)
			}
			if err == nil && m.Flush != nil {
				flushes = append(flushes, *m.Flush)
			}
		}
		if err != nil {
			return flushes, err
		}
	}
}

func flushOf(table int, name string, size int64) ChangesMessage {
	return ChangesMessage{Flush: &Flush{Position: "1", Tables: []TableChanges{{Table: table, Changes: []parts.Changes{{Gone: []parts.Part{{Name: name, Rows: 1, Size: size}}}}}}}}
}

// A part is believed when its file is complete, of the size that was told, and of the
// table that it is told of.
func TestPartsOfChangesAreBelieved(t *testing.T) {
	whole := bytes.Join([][]byte{frame(frameCreate, 1, 0, 0, 0, 2, 0, 0, 0), frame(frameBytes, 1, 0, 0, 0, 'x', 'y'), frame(frameEnd, 1, 0, 0, 0)}, nil)
	open := bytes.Join([][]byte{frame(frameCreate, 1, 0, 0, 0, 2, 0, 0, 0), frame(frameBytes, 1, 0, 0, 0, 'x', 'y')}, nil)
	for name, c := range map[string]struct {
		sent []byte
		want error
	}{
		"whole":            {append(bytes.Clone(whole), message(t, flushOf(2, "part-1", 2))...), io.EOF},
		"told twice":       {append(append(bytes.Clone(whole), message(t, flushOf(2, "part-1", 2))...), message(t, flushOf(2, "part-1", 2))...), errProtocol},
		"of another table": {append(bytes.Clone(whole), message(t, flushOf(0, "part-1", 2))...), errProtocol},
		"of no table":      {append(bytes.Clone(whole), message(t, flushOf(1, "part-1", 2))...), errProtocol},
		"another size":     {append(bytes.Clone(whole), message(t, flushOf(2, "part-1", 3))...), errProtocol},
		"not complete":     {append(bytes.Clone(open), message(t, flushOf(2, "part-1", 2))...), errProtocol},
		"never made":       {message(t, flushOf(2, "part-7", 2)), errProtocol},
		"for a left out":   {frame(frameCreate, 1, 0, 0, 0, 1, 0, 0, 0), errProtocol},
	} {
		if _, err := believed(c.sent); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Whatever a child sends, the service reads it to an end, and no part is believed that
// was not made.
func FuzzChild(f *testing.F) {
	whole := bytes.Join([][]byte{frame(frameCreate, 1, 0, 0, 0, 2, 0, 0, 0), frame(frameBytes, 1, 0, 0, 0, 'x', 'y'), frame(frameEnd, 1, 0, 0, 0)}, nil)
	f.Add(append(bytes.Clone(whole), message(f, flushOf(2, "part-1", 2))...))
	f.Add(message(f, ChangesMessage{Flush: &Flush{Tables: []TableChanges{{Table: 0, Err: errProtocol}}}}))
	f.Add(frame(frameChange, []byte("null")...))
	f.Fuzz(func(t *testing.T, sent []byte) {
		flushes, err := believed(sent)
		if err == nil {
			t.Fatal("there was no end")
		}
		for _, flush := range flushes {
			for _, table := range flush.Tables {
				for _, c := range table.Changes {
					for _, p := range append(append(c.Rows, c.Gone...), c.Kept...) {
						if p.Name != "next" {
							t.Fatalf("a part %q was believed", p.Name)
						}
					}
				}
			}
		}
	})
}
