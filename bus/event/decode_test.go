package event

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestScanReadsWhatIsWritten: nothing that this build writes of the payloads
// that fill a history needs encoding/json.
func TestScanReadsWhatIsWritten(t *testing.T) {
	rare := "ChangesLagging ChangesGivenUp CommandRejected ConnectionTested SourceConnectFailed SyncCancelled SourceRemoved SourceRestored SourcePurged SourceDestroyed TableVerified TableMaintained ScheduleChanged ScheduleFired ScheduleSkipped ScheduleMissed WebhookCreated WebhookRotated WebhookDeleted TokenCreated TokenRevoked TokenUsed RequestRefused"
	for name, d := range examples() {
		body, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		got := New(name)
		if scanned := scan(string(body), got); scanned == strings.Contains(rare, name) {
			t.Errorf("%s: scanned is %v", name, scanned)
		} else if scanned && !cmp.Equal(got, d) {
			t.Errorf("%s: %s", name, cmp.Diff(d, got))
		}
	}
}

// TestScanAgreesWithJSON fills payloads with anything, breaks some of their
// JSON, and compares.
func TestScanAgreesWithJSON(t *testing.T) {
	scans := 0
	rapid.Check(t, func(rt *rapid.T) {
		d := rapid.SampledFrom(All()).Draw(rt, "payload")
		fillRandom(rt, reflect.ValueOf(d).Elem())
		body, err := json.Marshal(d)
		if err != nil {
			rt.Fatal(err)
		}
		if rapid.Bool().Draw(rt, "broken") {
			at := rapid.IntRange(0, len(body)-1).Draw(rt, "at")
			with := rapid.SampledFrom([]string{"", ",", `"`, "{", "}", "[", "]", "0", "-", ".5", "e1", "null", "\\", "\\u00e9", "\xff", "é", "\n", " ", "true", `"owner":"x",`, `,"later":1`}).Draw(rt, "with")
			cut := rapid.IntRange(0, 2).Draw(rt, "cut")
			body = []byte(string(body[:at]) + with + string(body[min(at+cut, len(body)):]))
		}
		if agree(rt.Fatalf, d.EventName(), body) {
			scans++
		}
	})
	if scans == 0 {
		t.Error("nothing was scanned")
	}
}

// FuzzScan compares the two on any bytes.
func FuzzScan(f *testing.F) {
	for name, d := range examples() {
		body, err := json.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(name, body)
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		if New(name) != nil {
			agree(t.Fatalf, name, body)
		}
	})
}

// agree reports whether a body was scanned, and fails unless encoding/json makes
// the same of it.
func agree(fail func(string, ...any), name string, body []byte) bool {
	got, want := New(name), New(name)
	if !scan(string(body), got) {
		if !reflect.DeepEqual(got, want) {
			fail("giving up left %+v of %q", got, body)
		}
		return false
	}
	if err := json.Unmarshal(body, want); err != nil {
		fail("%q was read, but: %v", body, err)
	} else if !reflect.DeepEqual(got, want) {
		fail("%s of %q", cmp.Diff(want, got), body)
	}
	return true
}

func fillRandom(t *rapid.T, v reflect.Value) {
	switch v.Interface().(type) {
	case json.RawMessage:
		v.SetBytes([]byte(rapid.SampledFrom([]string{`{}`, `{"a":[1,{"b":"]}\""}]}`, `[]`, `"x"`, `1`, `null`, `{"é":true}`}).Draw(t, "raw")))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(rapid.Int64Range(0, 1<<31).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fillRandom(t, v.Field(i))
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			fillRandom(t, v.Elem())
		}
	case reflect.Slice:
		if n := rapid.IntRange(-1, 2).Draw(t, "length"); n >= 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fillRandom(t, v.Index(i))
			}
		}
	case reflect.String:
		v.SetString(rapid.OneOf(rapid.SampledFrom([]string{"", "plain", `"quoted"`, "<&>\u2028", "\x00\xff"}), rapid.String()).Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.OneOf(rapid.Int64Range(-9, 1000), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64})).Draw(t, "int"))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "uint"))
	default:
		t.Fatalf("%s", v.Type())
	}
}

func BenchmarkParse(b *testing.B) {
	for _, name := range []string{"SyncProgressed", "SchemaDiscovered"} {
		body, err := json.Marshal(examples()[name])
		if err != nil {
			b.Fatal(err)
		}
		for how, read := range map[string]func([]byte, Data) error{"decode": func(body []byte, d Data) error { return decode(string(body), d) }, "json": func(body []byte, d Data) error { return json.Unmarshal(body, d) }} {
			b.Run(name+"/"+how, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := read(body, New(name)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
