package bustest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Copies returns what each server's copy of each stream holds, by stream and
// server: counts, sequences and bytes as the server reports them and, for a
// stream with direct reads, a hash of all messages read from that copy. Every
// server must be running.
func (c *Cluster) Copies(t testing.TB) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for _, s := range c.servers {
		direct, err := c.state(s, all)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		for stream, last := range direct {
			hash, err := c.hash(s, stream, last)
			if err != nil {
				t.Fatalf("%s: %s: %v", s.name, stream, err)
			}
			all[stream][s.name] += ", sha-256 " + hash
		}
	}
	return all
}

// state adds what a server reports of its copies. It returns the last sequences
// of the streams that permit direct reads.
func (c *Cluster) state(s *process, all map[string]map[string]string) (map[string]uint64, error) {
	res, err := http.Get("http://" + s.monitor + "/jsz?streams=true&config=true")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	var told struct {
		Accounts []struct {
			Streams []struct {
				Name   string                 `json:"name"`
				Config jetstream.StreamConfig `json:"config"`
				State  jetstream.StreamState  `json:"state"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.Unmarshal(text, &told); err != nil {
		return nil, err
	}
	direct := map[string]uint64{}
	for _, a := range told.Accounts {
		for _, stream := range a.Streams {
			if all[stream.Name] == nil {
				all[stream.Name] = map[string]string{}
			}
			st := stream.State
			all[stream.Name][s.name] = fmt.Sprintf("%d messages from %d to %d, %d bytes, %d subjects, %d deleted",
				st.Msgs, st.FirstSeq, st.LastSeq, st.Bytes, st.NumSubjects, st.NumDeleted)
			if stream.Config.AllowDirect {
				direct[stream.Name] = st.LastSeq
			}
		}
	}
	return direct, nil
}

// hash reads a stream from one server: a direct read is answered by the copy of
// the server that receives it.
func (c *Cluster) hash(s *process, stream string, last uint64) (string, error) {
	nc, err := nats.Connect(s.url, nats.DontRandomize(), nats.IgnoreDiscoveredServers())
	if err != nil {
		return "", err
	}
	defer nc.Close()
	sum := sha256.New()
	for sequence := uint64(1); sequence <= last; sequence++ {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		msg, err := nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream, fmt.Appendf(nil, `{"seq":%d}`, sequence))
		cancel()
		if err != nil {
			return "", fmt.Errorf("message %d: %w", sequence, err)
		}
		keys := make([]string, 0, len(msg.Header))
		for k := range msg.Header {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			fmt.Fprintf(sum, "%s: %q\n", k, msg.Header[k])
		}
		fmt.Fprintf(sum, "%d\n%s\n", len(msg.Data), msg.Data)
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:8]), nil
}

// Messages returns how many messages each of the named streams holds.
func (c *Cluster) Messages(t testing.TB, streams ...string) map[string]uint64 {
	t.Helper()
	held := map[string]uint64{}
	c.ask(t, "the streams' state", func(ctx context.Context, js jetstream.JetStream) error {
		for _, name := range streams {
			stream, err := js.Stream(ctx, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			held[name] = stream.CachedInfo().State.Msgs
		}
		return nil
	})
	return held
}
