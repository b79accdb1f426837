package sweep

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"

	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/storage"
)

const (
	made    = "00000000000000000007-syn_1-nonce-3.parquet"
	segment = "00000000000000000007-syn_1-1.staged.json"
	joined  = "00000000000000000007-syn_1.u0000000004-00001.parquet"
)

// TestPartOf: a name that is not exactly that of a part is one that no sweep takes for
// one, and so removes by age alone, or not at all.
func TestPartOf(t *testing.T) {
	for base, want := range map[string]*part{
		made: {7, 0}, segment: {7, 0}, joined: {7, 4},
		"00000000000000000000-a.parquet":                   {0, 0},
		"18446744073709551615-a.parquet":                   {18446744073709551615, 0},
		"18446744073709551616-a.parquet":                   nil, // no fence is larger
		"0000000000000000007-a.parquet":                    nil, // 19 digits
		"000000000000000000007-a.parquet":                  nil,
		"0000000000000000000x-a.parquet":                   nil,
		"-0000000000000000007-a.parquet":                   nil,
		"00000000000000000007.parquet":                     nil,
		"00000000000000000007-a.parquet.tmp":               nil,
		"00000000000000000007-a.avro":                      nil,
		"00000000000000000007-a.ux-1.parquet":              nil, // a mark without a number
		"00000000000000000007-a.u1-1.u0000000002-.parquet": {7, 2},
		"00002-0a0b.metadata.json":                         nil, "snap-1-2.avro": nil, "": nil, "readme.parquet": nil,
	} {
		got, ok := partOf(base)
		if ok != (want != nil) || ok && got != *want || IsPart(base) != ok {
			t.Errorf("%q: %+v %v, want %+v", base, got, ok, want)
		}
	}
	for base, want := range map[string]bool{
		"snap-1.avro": true, "00002-0a0b.metadata.json": true, "1" + retain.RecordSuffix: true, made: false, segment: false, "notes.json": false, "": false, "metadata.json": false,
	} {
		if IsMetadata(base) != want {
			t.Errorf("%q is metadata: %v", base, !want)
		}
	}
}

// TestWhoseParts: of an earlier fence or maintenance nobody commits any more; of the
// current one somebody may, unless he is known to have ended.
func TestWhoseParts(t *testing.T) {
	for _, c := range []struct {
		name        string
		of          part
		key         kvcatalog.Pointer
		past, ended bool
	}{
		{"an earlier fence", part{6, 0}, kvcatalog.Pointer{Fence: 7}, true, false},
		{"the current fence, at work", part{7, 0}, kvcatalog.Pointer{Fence: 7, Unswept: true}, false, false},
		{"the current fence, done", part{7, 0}, kvcatalog.Pointer{Fence: 7}, false, true},
		{"a later fence than the key was read with", part{8, 0}, kvcatalog.Pointer{Fence: 7}, false, false},
		{"an earlier maintenance", part{7, 3}, kvcatalog.Pointer{Fence: 7, Upkeep: 4}, true, false},
		{"the current maintenance", part{6, 4}, kvcatalog.Pointer{Fence: 7, Upkeep: 4}, false, true},
		{"a later maintenance", part{7, 5}, kvcatalog.Pointer{Fence: 7, Upkeep: 4}, false, false},
	} {
		if past, ended := c.of.past(c.key), c.of.ended(c.key); past != c.past || ended != c.ended {
			t.Errorf("%s: past %v, ended %v", c.name, past, ended)
		}
	}
	beside := &Beside{Fence: 7, Names: map[string]bool{made: true}}
	for _, c := range []struct {
		name   string
		writer *Beside
		base   string
		want   bool
	}{
		{"its own, not committed", beside, made, true}, {"its own, of which it knows no more", beside, segment, false},
		{"a maintenance's", beside, joined, true}, {"another writer's", beside, "00000000000000000008-a.parquet", true}, {"nobody writes", nil, segment, true},
	} {
		p, _ := partOf(c.base)
		if got := c.writer.has(p, c.base); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestFormerOf: of the metadata that is older than the grace, the newest was the table
// then, or the one before it, if its commit failed.
func TestFormerOf(t *testing.T) {
	began := time.Unix(10_000, 0)
	file := func(base string, after time.Duration) storage.Found {
		return storage.Found{Name: "f/" + base, Base: base, Modified: began.Add(after)}
	}
	f := formerOf([]storage.Found{
		file("00001-a.metadata.json", -4*time.Hour), file("00002-b.metadata.json", -3*time.Hour), file("00003-c.metadata.json", -2*time.Hour), file("00003-d.metadata.json", 0),
		file("00004-e.metadata.json", time.Second), file("00009-f.avro", -time.Hour), file("x.metadata.json", -time.Hour), file("8"+retain.RecordSuffix, -9*time.Hour), file(made, 0),
	}, began)
	var inForce, records []string
	for _, one := range f.inForce {
		inForce = append(inForce, one.Base)
	}
	for _, one := range f.records {
		records = append(records, one.Base)
	}
	if want := []string{"00002-b.metadata.json", "00003-c.metadata.json", "00003-d.metadata.json"}; !slices.Equal(inForce, want) {
		t.Errorf("in force were %v, want %v", inForce, want)
	}
	if !slices.Equal(records, []string{"8" + retain.RecordSuffix}) || !f.now.Equal(began.Add(retain.Grace)) || f.known[made] != "f/"+made {
		t.Errorf("%+v", f)
	}
	if f := formerOf([]storage.Found{file("00004-e.metadata.json", time.Second)}, began); f.inForce != nil {
		t.Errorf("a table that is younger than the grace: %v", f.inForce)
	}
}

type paperOwner struct{ err error }

func (p paperOwner) Owned(context.Context) error { return p.err }

// TestForeignLakeIsNotSwept, nor even looked at: the sweeper has no catalog here.
func TestForeignLakeIsNotSwept(t *testing.T) {
	foreign, now := errors.New("another's lake"), time.Unix(10_000, 0)
	s := New(nil, paperOwner{foreign}, nil, func() time.Time { return now })
	if _, removed, err := s.Sweep(t.Context(), table.Identifier{"a"}, 1, nil); !errors.Is(err, foreign) || removed != 0 {
		t.Errorf("%d files, %v", removed, err)
	}
	for swept, want := range map[time.Time]bool{now.Add(-retain.Every): true, now.Add(1 - retain.Every): false, {}: true} {
		if s.Due(kvcatalog.Pointer{Swept: swept}) != want {
			t.Errorf("swept at %s: due %v", swept, !want)
		}
	}
}
