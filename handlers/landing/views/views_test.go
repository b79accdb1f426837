package views

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
)

const (
	lake  = "file:///srv/my%20lake"
	shown = "s3://headwater"
)

// shelf is a lake in memory.
type shelf map[string][]byte

type onShelf struct{ *bytes.Reader }

func (onShelf) Close() error               { return nil }
func (onShelf) Stat() (fs.FileInfo, error) { return nil, fs.ErrInvalid }

func (s shelf) Open(_ context.Context, name string) (iceio.File, error) {
	content, ok := s[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return onShelf{bytes.NewReader(content)}, nil
}

func (s shelf) List(context.Context, string) ([]string, error) { return nil, nil }

// manifestsOf returns a manifest of one file and a list of that manifest.
func manifestsOf(t testing.TB) shelf {
	t.Helper()
	s := shelf{}
	schema := iceberg.NewSchema(0, iceberg.NestedField{ID: 1, Name: "id", Type: iceberg.PrimitiveTypes.Int64})
	b, err := iceberg.NewDataFileBuilder(*iceberg.UnpartitionedSpec, iceberg.EntryContentData, lake+"/t/data/a.parquet", iceberg.ParquetFile, nil, nil, nil, 7, 4711)
	if err != nil {
		t.Fatal(err)
	}
	b.LowerBoundValues(map[int][]byte{1: []byte(lake + "/no name")}).ValueCounts(map[int]int64{1: 7})
	id, sequence := int64(5), int64(1)
	var content bytes.Buffer
	m, err := iceberg.WriteManifest(lake+"/t/metadata/m.avro", &content, 2, *iceberg.UnpartitionedSpec, schema, id,
		[]iceberg.ManifestEntry{iceberg.NewManifestEntry(iceberg.EntryStatusADDED, &id, &sequence, &sequence, b.Build())})
	if err != nil {
		t.Fatal(err)
	}
	s[lake+"/t/metadata/m.avro"] = bytes.Clone(content.Bytes())
	content.Reset()
	if err := iceberg.WriteManifestList(2, &content, id, nil, &sequence, 0, []iceberg.ManifestFile{m}); err != nil {
		t.Fatal(err)
	}
	s[lake+"/t/metadata/l.avro"] = content.Bytes()
	return s
}

func TestNamesInManifests(t *testing.T) {
	s := manifestsOf(t)
	v := New(s, lake, shown)
	list, err := v.content(t.Context(), lake+"/t/metadata/l.avro")
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := iceberg.ReadManifestList(bytes.NewReader(list))
	if err != nil || len(manifests) != 1 {
		t.Fatalf("%v, %v", manifests, err)
	}
	manifest, err := v.content(t.Context(), lake+"/t/metadata/m.avro")
	if err != nil {
		t.Fatal(err)
	}
	m := manifests[0]
	if m.FilePath() != shown+"/t/metadata/m.avro" || m.Length() != int64(len(manifest)) || m.SnapshotID() != 5 || m.AddedDataFiles() != 1 || m.AddedRows() != 7 {
		t.Errorf("%v, want one of %d bytes", m, len(manifest))
	}
	entries, err := iceberg.ReadManifest(m, bytes.NewReader(manifest), false)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	f := entries[0].DataFile()
	if f.FilePath() != shown+"/t/data/a.parquet" || f.FileSizeBytes() != 4711 || f.Count() != 7 || f.ValueCounts()[1] != 7 {
		t.Errorf("%v", f)
	}
	if bound := string(f.LowerBoundValues()[1]); bound != lake+"/no name" {
		t.Errorf("a value of the table's own became %q", bound)
	}
}

func TestNamesInMetadata(t *testing.T) {
	const doc = `{"format-version":2,"location":"` + lake + `/t","last-sequence-number":9007199254740993,"properties":{"note":"` + lake + `/t"},
		"snapshots":[{"snapshot-id":1,"manifest-list":"` + lake + `/t/metadata/l.avro","summary":{"headwater.cursor":"` + lake + `/x","n":"1e3"}}],
		"metadata-log":[{"metadata-file":"` + lake + `/t/metadata/0.metadata.json","timestamp-ms":1}],"statistics":[{"statistics-path":"file:///elsewhere/x"}]}`
	got, err := New(shelf{}, lake, shown).Metadata([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(`"location":"`+lake, `"location":"`+shown, `"manifest-list":"`+lake, `"manifest-list":"`+shown, `"metadata-file":"`+lake, `"metadata-file":"`+shown).Replace(doc)
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	left, _ := json.Marshal(a)
	right, _ := json.Marshal(b)
	if !bytes.Equal(left, right) || !bytes.Contains(got, []byte("9007199254740993")) {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// FuzzAvro feeds files that nobody wrote: each is refused, or shown as one that is
// read and shown the same way again.
func FuzzAvro(f *testing.F) {
	for _, content := range manifestsOf(f) {
		f.Add(content)
	}
	f.Add([]byte("Obj\x01\x02\x16avro.schema\x0c\"null\"\x000123456789abcdef\x04\x000123456789abcdef"))
	f.Fuzz(func(t *testing.T, content []byte) {
		v := New(shelf{}, lake, shown)
		ctx := context.Background()
		made, err := v.avro(ctx, "x", content)
		if err != nil {
			return
		}
		again, err := v.avro(ctx, "x", made)
		if err != nil || !bytes.Equal(made, again) {
			t.Errorf("%x is shown as %x and that as %x, %v", content, made, again, err)
		}
	})
}
