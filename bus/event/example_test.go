package event_test

import (
	"errors"
	"fmt"
	"strings"

	"headwater/bus/event"
)

// A service that subscribes to Headwater's subjects reads each message with
// Parse: the payload comes as the struct of its type. A *nats.Msg gives
// msg.Header.Get and msg.Data.
func Example() {
	headers := map[string]string{
		"ce-specversion":   "1.0",
		"ce-id":            "019ab2f0-7c55-7d3e-9a41-0c2f6d1b8e77",
		"ce-type":          "headwater.SyncCompleted.v1",
		"ce-time":          "2026-11-23T10:00:00Z",
		"ce-correlationid": "op_k5w2mzx7k3b6r8t9v1c0d2ef4h",
	}
	body := `{"organization":"acme","workspace_id":"sales","owner":"ada","source_id":"src_1",
		"operation":{"id":"op_k5w2mzx7k3b6r8t9v1c0d2ef4h","kind":"sync","targets":1,"target":0,"final":true},
		"sync_id":"syn_1","status":"completed","mode":"full_refresh","records_processed":3376,"bytes":150000,"duration_ms":700,
		"tables":[{"name":"airports","status":"completed","records_processed":3376}],
		"a_field_of_later":true}`

	e, err := event.Parse(func(header string) string { return headers[header] }, []byte(body))
	if errors.Is(err, event.ErrUnknown) {
		return // an event that this build does not know: skip it
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	switch d := e.Data.(type) {
	case *event.SyncCompleted:
		fmt.Printf("%s: %d rows of %s/%s, %s\n", e.Time.Format("15:04"), d.Records, d.WorkspaceID, d.SourceID, d.Status)
		for _, table := range d.Tables {
			fmt.Println(" ", table.Name, table.Records)
		}
	case *event.SyncFailed:
		fmt.Println(d.Reason, d.Message)
	}
	// Output:
	// 10:00: 3376 rows of sales/src_1, completed
	//   airports 3376
}

// What a service subscribes to: one event of every shared source of an
// organization, and the whole history of one source.
func ExampleAddress_Subject() {
	shared := event.Address{Organization: "acme", Workspace: "sales", Source: "src_1"}
	fmt.Println(shared.Subject("SyncCompleted"))
	fmt.Println(shared.Filter())
	private := event.Address{Organization: "acme inc.", Workspace: "sales", Owner: "ada", Source: "src_1"}
	fmt.Println(strings.TrimPrefix(private.Filter(), event.SubjectPrefix))
	// Output:
	// headwater.events.acme.sales._.src_1.SyncCompleted
	// headwater.events.acme.sales._.src_1.*
	// .acme=20inc=2E.sales.ada.src_1.*
}

// A reader that follows everything may be older than the service: it asks whether
// it knows an event before it reads one. Nothing is said twice with other words,
// so names can be compared as they are.
func ExampleNew() {
	for _, ceType := range []string{"headwater.SourceRemoved.v1", "headwater.SourcePainted.v1", "com.example.thing"} {
		name := event.NameOf(ceType)
		fmt.Printf("%q %v\n", name, event.New(name) != nil)
	}
	// Output:
	// "SourceRemoved" true
	// "SourcePainted" false
	// "" false
}
