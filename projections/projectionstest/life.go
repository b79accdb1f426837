package projectionstest

import (
	"encoding/json"
	"fmt"
	"time"

	"headwater/bus/event"
)

// Life is a history of n syncs of five sources, a second apart.
func Life(n int) []*event.Event {
	var all []*event.Event
	add := func(d event.Data) {
		sequence := uint64(len(all) + 1)
		all = append(all, &event.Event{ID: fmt.Sprintf("id-%d", sequence), Time: Epoch.Add(time.Duration(sequence) * time.Second), Sequence: sequence, Data: d})
	}
	meta := func(i int, operation, kind string, final bool) event.Meta {
		return event.At(event.Address{Organization: "acme", Workspace: "w1", Owner: "ann", Source: fmt.Sprint("src_", i)},
			event.Operation{ID: operation, Kind: kind, Targets: 1, Final: final, Actor: "ann"})
	}
	for i := range 5 {
		operation, name := fmt.Sprint("op_c", i), fmt.Sprint("n", i)
		add(&event.SourceConnected{Meta: meta(i, operation, "connect", false), Name: name, Type: "database", Connector: "postgresql", ConfigVersion: 1,
			Config: json.RawMessage(`{ "host": "db", "port": 5432 }`), SecretRef: fmt.Sprint("ref-src_", i)})
		add(&event.SchemaDiscovered{Meta: meta(i, operation, "connect", true), Version: 1, Cause: "connect", Diff: event.SchemaDiff{Added: []string{"t"}},
			Tables: []event.Table{{Name: "t", Namespace: "public", Kind: "table", Columns: []event.Column{{Name: "id", Type: "int64", SourceType: "bigint"}}}}})
	}
	for i := range n {
		operation, id := fmt.Sprint("op_s", i), fmt.Sprint("syn_", i)
		table := func(status string, records, total int64) event.TableResult {
			return event.TableResult{Name: "t", Namespace: "public", Status: status, Mode: "incremental", Records: records, Bytes: 10 * records, Total: &total}
		}
		rows := int64(9 * (i / 5))
		add(&event.SyncStarted{Meta: meta(i%5, operation, "sync", false), SyncID: id, Attempt: 1, Mode: "full_refresh", Tables: []string{"public.t"}})
		r := table("running", 5, rows+5)
		add(&event.SyncProgressed{Meta: meta(i%5, operation, "sync", false), SyncID: id, Table: r, Records: r.Records, Bytes: r.Bytes})
		r = table("completed", 9, rows+9)
		add(&event.SyncCompleted{Meta: meta(i%5, operation, "sync", true), SyncID: id, Status: "completed", Mode: r.Mode, Records: r.Records, Bytes: r.Bytes,
			DurationMS: 1500, Tables: []event.TableResult{r}})
	}
	return all
}
