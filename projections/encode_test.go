package projections

import (
	"encoding/json"
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
		sameAsJSON(rt, sourceState)
		sameAsJSON(rt, syncState)
		sameAsJSON(rt, operationState)
		sameAsJSON(rt, landedState)
		sameAsJSON(rt, func(r *event.TableResult) ([]byte, error) { return tableState(r) })
		sameAsJSON(rt, func(r *struct {
			Result Result `json:"result"`
		}) ([]byte, error) {
			o := newObject(100)
			err := o.result("result", &r.Result)
			return o.end(), err
		})
	})
}

func sameAsJSON[T any](t *rapid.T, encode func(*T) ([]byte, error)) {
	var v T
	fillRandom(t, reflect.ValueOf(&v).Elem())
	want, wantErr := json.Marshal(&v)
	got, err := encode(&v)
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
