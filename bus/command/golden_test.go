package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headwater/bus/event"
)

var update = flag.Bool("update", false, "write the golden files")

func exampleMeta() Meta {
	at := event.Address{Organization: "acme", Workspace: "sales-eu", Owner: "ada", Source: "src_4hq5w2mzx7k3b6r8t9v1c0d2ef"}
	m := event.At(at, event.Operation{ID: "op_k5w2mzx7k3b6r8t9v1c0d2ef4h", Kind: event.KindSync, Targets: 2, Target: 1, Final: true, Actor: "ada", RequestID: "4hq5w2mzx7k3b6r8", Trigger: event.TriggerSchedule})
	m.SourceName = "customer_db"
	return Meta{Meta: m,
		Deadline: time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)}
}

// examples holds one realistic payload of every command, with no field left
// zero, so that the golden files show each one's name.
func examples() map[string]Data {
	m := exampleMeta()
	config, secret := json.RawMessage(`{"host":"db.acme.test","port":5432}`), "sec_7k3b6r8t9v1c0d2ef4hq5w2mzx"
	options := SyncOptions{
		Mode: "incremental", BatchSize: 5000, Tables: []string{"public.*"}, CursorField: map[string]string{"public.orders": "updated_at"},
		Merge: true, Columns: map[string]Columns{"public.*": {Exclude: []string{"note*"}}}, Lookback: "15m", Parallelism: 2, Reset: []string{"public.carts"},
		StartFrom: map[string]string{"public.orders": "2026-11-23T10:00:00.000000Z"}, Deleted: map[string]string{"public.orders": "deleted_at"},
		Timeout: "2h", TableLimit: "30m", AllowEmpty: true,
		Exclude: []string{"public.tmp_*"}, KeyColumns: map[string][]string{"public.orders": {"region", "number"}}, OnReplaced: Stop, Maintenance: MaintenanceOff, OnColumnsChanged: Keep, IdleTimeout: "10m", Always: true,
		MaxDelay: "10s", Changes: AppendChanges, SoftDelete: true, LagWarn: 1 << 30, LagLimit: 1 << 34}
	byName := map[string]Data{}
	for _, d := range []Data{
		&ConnectSource{Meta: m, Base: 3, Name: "warehouse", Type: "database", Connector: "postgresql", Config: config, SecretRef: secret, Metadata: json.RawMessage(`{"team":"sales"}`), Sync: &SyncOptions{Mode: "incremental"}},
		&TestConnection{Meta: m, Type: "database", Connector: "postgresql", Config: config, SecretRef: secret},
		&SyncSource{Meta: m, SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", Options: options},
		&CancelOperation{Meta: m, Cancels: "op_3b6r8t9v1c0d2ef4hq5w2mzx7k", SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2"},
		&RemoveSource{Meta: m, Purge: true},
		&DiscoverSchema{Meta: m},
		&VerifySource{Meta: m, Tables: []string{"public.*"}},
		&MaintainSource{Meta: m, Tables: []string{"public.*"}, Asked: true},
		&RestoreSource{Meta: m, Name: "warehouse-2"},
		&RenameSource{Meta: m, Name: "warehouse-3"},
		&PurgeSource{Meta: m, Removed: 4711},
		&ChangeSchedule{Meta: m, Schedule: &event.Schedule{Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Every: "15m", After: "src_7k3b6r8t9v1c0d2ef4hq5w2mzx", Continuous: true, Jitter: "10m",
			Missed: "once", Overlap: "skip", Paused: true, Options: json.RawMessage(`{"mode":"incremental"}`)}},
		&FollowSource{Meta: m, SyncID: "syn_1zx7k3b6r8t9v1c0d2ef4hq5w2", Options: options, Version: 3},
		&ReleaseChanges{Meta: m, Removed: 4711},
		&FireSchedule{Meta: m, Version: 3, Due: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)},
	} {
		byName[d.CommandName()] = d
	}
	return byName
}

func example(d Data) *Command {
	return &Command{ID: "019ab2f0-7c00-7aaa-8f10-5b1d2c3e4f50", Time: time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.UTC),
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Data: d}
}

// A command may wait in the queue while nodes are replaced: what an older build
// wrote, a newer one must read.
func TestGolden(t *testing.T) {
	examples := examples()
	for _, d := range All() {
		name := d.CommandName()
		t.Run(name, func(t *testing.T) {
			d := examples[name]
			if d == nil {
				t.Fatalf("no example of %s", name)
			}
			for _, field := range zeroFields("", reflect.ValueOf(d).Elem()) {
				t.Errorf("the example leaves %s zero", field)
			}
			c := example(d)
			headers, body, err := c.Encode()
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, name, c.Subject(), headers, body)
			back, err := Parse(func(h string) string { return headers[h] }, body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c, back); diff != "" {
				t.Error(diff)
			}
			if _, err := Parse(func(h string) string { return headers[h] }, []byte(`{"new_field":1,`+string(body[1:]))); err != nil {
				t.Errorf("with a field of later: %v", err)
			}
		})
	}
}

func compareGolden(t *testing.T, name, subject string, headers map[string]string, body []byte) {
	t.Helper()
	var got bytes.Buffer
	fmt.Fprintln(&got, subject)
	for _, key := range slices.Sorted(maps.Keys(headers)) {
		fmt.Fprintf(&got, "%s: %s\n", key, headers[key])
	}
	got.WriteByte('\n')
	if err := json.Indent(&got, body, "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the wire format of %s changed:\n%s", name, diff)
	}
}

func zeroFields(path string, v reflect.Value) []string {
	if v.Kind() != reflect.Struct || v.Type() == reflect.TypeFor[time.Time]() {
		if v.IsZero() {
			return []string{path}
		}
		return nil
	}
	var zero []string
	for i := range v.NumField() {
		zero = append(zero, zeroFields(path+"."+v.Type().Field(i).Name, v.Field(i))...)
	}
	return zero
}

func TestParse(t *testing.T) {
	c := example(examples()["SyncSource"])
	headers, body, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]struct {
		change map[string]string
		body   string
		err    error // nil: any
	}{
		"a command of later": {change: map[string]string{event.HeaderType: "headwater.PaintSource.v1"}, body: "{}", err: ErrUnknown},
		"an event":           {change: map[string]string{event.HeaderType: "headwater.SyncCompleted.v1"}, body: "{}", err: ErrUnknown},
		"body elsewhere":     {change: map[string]string{event.HeaderDataRef: "sha256:00"}, err: event.ErrReferenced},
		"no body":            {},
		"not JSON":           {body: "{"},
		"no time":            {change: map[string]string{event.HeaderTime: ""}, body: string(body)},
	} {
		h := maps.Clone(headers)
		maps.Copy(h, bad.change)
		_, err := Parse(func(k string) string { return h[k] }, []byte(bad.body))
		if err == nil || bad.err != nil && !errors.Is(err, bad.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFilterMatchesItsVerbOnly(t *testing.T) {
	if got, want := FilterFor("SyncSource"), "headwater.commands.*.*.*.*.SyncSource"; got != want {
		t.Errorf("filter %s, wanted %s", got, want)
	}
}
