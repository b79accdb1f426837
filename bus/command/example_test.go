package command_test

import (
	"fmt"
	"strings"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
)

// A command says what is asked of one source. Its subject ends in its verb, so
// that each verb has a queue of its own; its body is the payload's JSON.
func Example() {
	at := event.Address{Organization: "acme", Workspace: "sales", Owner: "ada", Source: "src_1"}
	meta := event.At(at, event.Operation{ID: "op_1", Kind: event.KindSync, Targets: 1, Actor: "ada"})
	c := &command.Command{
		ID: "019ab2f0-7c00-7aaa-8f10-5b1d2c3e4f50", Time: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
		Data: &command.SyncSource{
			Meta: command.Meta{Meta: meta, Deadline: time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)}, SyncID: "syn_1",
			Options: command.SyncOptions{Mode: "incremental"},
		},
	}
	headers, body, err := c.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Subject())
	fmt.Println(headers["ce-type"], strings.Contains(string(body), `"mode":"incremental"`))

	back, err := command.Parse(func(name string) string { return headers[name] }, body)
	fmt.Println(back.Name(), "of", back.Address().Source, err)
	// Output:
	// headwater.commands.acme.sales.ada.src_1.SyncSource
	// headwater.SyncSource.v1 true
	// SyncSource of src_1 <nil>
}

// Lengths of time travel as people wrote them.
func ExampleDuration_Value() {
	for _, text := range []command.Duration{"90s", "1w2d", "soon"} {
		d, err := text.Value()
		fmt.Println(d, err != nil)
	}
	// Output:
	// 1m30s false
	// 216h0m0s false
	// 0s true
}
