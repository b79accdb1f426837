package bus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/bustest"
	"headwater/bus/event"
)

// goldens returns one event of each type, from the files that pin their form.
func goldens(t *testing.T) []*event.Event {
	t.Helper()
	var all []*event.Event
	for _, d := range event.All() {
		file, err := os.ReadFile(filepath.Join("event", "testdata", d.EventName()+".golden"))
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(string(file), "\n\n")
		headers := map[string]string{}
		for _, line := range strings.Split(head, "\n")[1:] {
			key, value, _ := strings.Cut(line, ": ")
			headers[key] = value
		}
		e, err := event.Parse(func(h string) string { return headers[h] }, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// readsAs is what every SDK must find in an event.
type readsAs struct {
	ID            string `json:"id"`
	Type          string `json:"type"`
	Source        string `json:"source"`
	Subject       string `json:"subject"`
	Time          string `json:"time"`
	CorrelationID string `json:"correlationid"`
	DataSchema    string `json:"dataschema"`
	Organization  string `json:"organization"`
}

func expected(e *event.Event) readsAs {
	m := e.Data.Header()
	return readsAs{ID: e.ID, Type: event.Type(e.Name()), Source: event.Source, Subject: m.SourceID, Time: e.Time.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano),
		CorrelationID: m.Operation.ID, DataSchema: event.DataSchema(e.Name()), Organization: m.Organization}
}

// TestCloudEventsSDKs has the CloudEvents SDKs for Go and JavaScript read one
// event of every type as a subscriber gets it.
func TestCloudEventsSDKs(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{Listen: "127.0.0.1:0", Authenticate: matrixGrant})
	sent := goldens(t)
	for i, e := range sent {
		e.ID = strings.TrimRight(e.ID, "0123456789abcdef") + fmt.Sprintf("%012x", i) // each its own
		if _, err := b.Append(t.Context(), uint64(i), e); err != nil {
			t.Fatal(err)
		}
	}
	ada := asBearer(t, b.Listening(), "ada")
	consumer, err := ada.js.OrderedConsumer(t.Context(), StreamEvents, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	for _, e := range sent {
		m, err := consumer.Next(jetstream.FetchMaxWait(testLimit))
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{}
		flat := map[string]string{}
		for key, values := range m.Headers() {
			header.Set(key, values[0])
			flat[strings.ToLower(key)] = values[0]
		}
		read, err := binding.ToEvent(t.Context(), cehttp.NewMessage(header, io.NopCloser(bytes.NewReader(m.Data()))))
		if err != nil {
			t.Fatalf("%s in Go: %v", e.Name(), err)
		}
		if err := read.Validate(); err != nil {
			t.Errorf("%s in Go: %v", e.Name(), err)
		}
		var data struct{ Organization string }
		if err := read.DataAs(&data); err != nil {
			t.Errorf("%s in Go: %v", e.Name(), err)
		}
		got := readsAs{read.ID(), read.Type(), read.Source(), read.Subject(), read.Time().Truncate(time.Millisecond).Format(time.RFC3339Nano), read.Extensions()["correlationid"].(string), read.DataSchema(), data.Organization}
		if got != expected(e) {
			t.Errorf("in Go %+v, wanted %+v", got, expected(e))
		}
		if err := json.NewEncoder(&lines).Encode(map[string]any{"headers": flat, "body": string(m.Data())}); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("JavaScript", func(t *testing.T) {
		cmd := exec.Command("node", filepath.Join("testdata", "cloudevents.cjs"))
		cmd.Env = append(os.Environ(), "NODE_PATH="+bustest.Tool(t, "npm", "node_modules"))
		cmd.Stdin = &lines
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, stderr.Bytes())
		}
		decoder := json.NewDecoder(bytes.NewReader(out))
		for _, e := range sent {
			var got readsAs
			if err := decoder.Decode(&got); err != nil {
				t.Fatal(err)
			}
			if got != expected(e) {
				t.Errorf("in JavaScript %+v, wanted %+v", got, expected(e))
			}
		}
	})
}
