package retain

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// tableOf returns a table whose snapshots, one a step until now, are what letters
// say: a appends, m merges, r replaces, ? is of a program that says nothing.
func tableOf(t *testing.T, kinds string, step time.Duration, refs string) table.Metadata {
	t.Helper()
	summaries := map[rune]string{
		'a': `{"operation":"append","total-data-files":"2"}`,
		'm': `{"operation":"overwrite","total-data-files":"2","added-position-deletes":"3"}`,
		'r': `{"operation":"overwrite","total-data-files":"2","deleted-data-files":"1"}`,
		'?': `{"operation":"overwrite"}`,
	}
	var snapshots []string
	for i, kind := range kinds {
		parent := ""
		if i > 0 {
			parent = fmt.Sprintf(`"parent-snapshot-id":%d,`, i)
		}
		at := now.Add(-time.Duration(len(kinds)-1-i) * step).UnixMilli()
		snapshots = append(snapshots, fmt.Sprintf(`{"snapshot-id":%d,%s"sequence-number":%d,"timestamp-ms":%d,"manifest-list":"x/snap-%d.avro","summary":%s,"schema-id":0}`, i+1, parent, i+1, at, i+1, summaries[kind]))
	}
	meta, err := table.ParseMetadataString(fmt.Sprintf(`{"format-version":2,"table-uuid":"9c12d441-03fe-4693-9a96-a0705ddf69c1","location":"x","last-sequence-number":%d,"last-updated-ms":%d,
		"last-column-id":1,"current-schema-id":0,"schemas":[{"type":"struct","schema-id":0,"fields":[{"id":1,"name":"id","required":true,"type":"long"}]}],"default-spec-id":0,"partition-specs":[{"spec-id":0,"fields":[]}],
		"last-partition-id":999,"default-sort-order-id":0,"sort-orders":[{"order-id":0,"fields":[]}],"properties":{},"current-snapshot-id":%d,"refs":{"main":{"snapshot-id":%d,"type":"branch"}%s},"snapshots":[%s]}`,
		len(kinds), now.UnixMilli(), len(kinds), len(kinds), refs, strings.Join(snapshots, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return meta
}

func TestExpired(t *testing.T) {
	for name, c := range map[string]struct {
		kinds  string
		step   time.Duration
		refs   string
		want   []int64
		record []string // lists of it
	}{
		"one":                              {"a", time.Second, "", nil, nil},
		"as many as are listed":            {"aa", time.Second, "", nil, nil},
		"one beyond":                       {"aaa", time.Second, "", []int64{1}, nil},
		"merges remove no file":            {"ammmm", time.Second, "", []int64{1, 2, 3}, nil},
		"a generation stays":               {"araaaa", time.Second, "", []int64{3, 4}, nil},
		"two do":                           {"araraaa", time.Second, "", []int64{5}, nil},
		"of more, the first is noted":      {"arrraa", time.Second, "", []int64{1}, []string{"snap-1.avro"}},
		"who says nothing may remove":      {"a???aa", time.Second, "", []int64{1}, []string{"snap-1.avro"}},
		"a generation of before the grace": {"araa", 10 * time.Minute, "", []int64{1}, nil},
		"all but the newest two, by age":   {"aaaa", time.Hour, "", []int64{1, 2}, nil},
		"what is tagged stays":             {"aaaaa", time.Hour, `,"v1":{"snapshot-id":1,"type":"tag"}`, []int64{2, 3}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			expired := Expired(tableOf(t, c.kinds, c.step, c.refs), now)
			var got []int64
			for _, s := range expired {
				got = append(got, s.SnapshotID)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("expired are %v, want %v", got, c.want)
			}
			record, err := RecordOf(expired, now)
			if err != nil {
				t.Fatal(err)
			}
			if lists := Needed(record, now); !slices.Equal(lists, c.record) {
				t.Errorf("noted are %v, want %v", lists, c.record)
			}
			if lists := Needed(record, now.Add(Grace)); len(lists) > 0 {
				t.Errorf("%v are needed after the grace", lists)
			}
		})
	}
}

// A record of which a crash left half is none.
func TestHalfARecord(t *testing.T) {
	record, err := RecordOf([]Replaced{{table.Snapshot{ManifestList: "x/y/snap-7.avro"}, now, true}}, now)
	if err != nil || !slices.Equal(Needed(record, now), []string{"snap-7.avro"}) {
		t.Fatalf("%s, %v", record, err)
	}
	for cut := range len(record) {
		if lists := Needed(record[:cut], now); len(lists) > 0 {
			t.Errorf("the first %d bytes need %v", cut, lists)
		}
	}
}
