package layout

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"headwater/bus/event"
)

// TestEncodedAsByJSON: what is encoded by hand is what encoding/json writes.
func TestEncodedAsByJSON(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sameAsJSON(rt, appendSource)
		sameAsJSON(rt, appendSync)
		sameAsJSON(rt, appendOperation)
		sameAsJSON(rt, EncodeLanded)
		sameAsJSON(rt, func(b []byte, r *shownTable) ([]byte, error) { return AppendTable(b, (*event.TableResult)(r)) })
		sameAsJSON(rt, func(b []byte, r *struct {
			Result Result `json:"result"`
		}) ([]byte, error) {
			o := objectIn(b)
			err := o.result("result", &r.Result)
			return o.End(), err
		})
	})
}

// shownTable is a table's result as clients are shown it: the id of its snapshot
// is text only, whatever the payload says beside it.
type shownTable event.TableResult

func (r *shownTable) MarshalJSON() ([]byte, error) {
	plain := event.TableResult(*r)
	plain.Snapshot = "taken as snapshot_id"
	if plain.SnapshotID = 0; r.SnapshotID == 0 {
		plain.Snapshot = ""
	}
	b, err := json.Marshal(plain)
	return bytes.Replace(b, []byte(`"snapshot":"taken as snapshot_id"`), fmt.Appendf(nil, `"snapshot_id":"%d"`, r.SnapshotID), 1), err
}

func sameAsJSON[T any](t *rapid.T, encode func([]byte, *T) ([]byte, error)) {
	var v T
	fillRandom(t, reflect.ValueOf(&v).Elem())
	want, wantErr := json.Marshal(&v)
	before := rapid.StringN(0, 3, -1).Draw(t, "before")
	got, err := encode([]byte(before), &v)
	if err == nil {
		var cut bool
		if got, cut = bytes.CutPrefix(got, []byte(before)); !cut {
			t.Fatalf("%T: %q is gone: %q", v, before, got)
		}
	}
	if (err == nil) != (wantErr == nil) || err == nil && string(got) != string(want) {
		t.Fatalf("%T: %s (%v)\njson: %s (%v)", v, got, err, want, wantErr)
	}
}

func fillRandom(t *rapid.T, v reflect.Value) {
	if _, ok := v.Interface().(time.Time); ok {
		zone := time.FixedZone("", 60*rapid.IntRange(-700, 700).Draw(t, "zone"))
		at := time.Unix(rapid.Int64Range(-1<<36, 1<<38).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).In(zone)
		v.Set(reflect.ValueOf(at))
		return
	}
	if _, ok := v.Interface().(json.RawMessage); ok {
		v.SetBytes([]byte(rapid.SampledFrom([]string{"", "null", `{}`, `{"a":[1,{"b":"]}\""}]}`, `{ "a" : 1 }`, `"<é&>"`, "\"\u2028\"", "\"\xff\"", `{`, `1`}).Draw(t, "raw")))
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
	case reflect.Uint8: // of a Sync's JSON, which is not written
	default:
		t.Fatalf("%s", v.Type())
	}
}
