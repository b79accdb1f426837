package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go/catalog/rest"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/nats-io/nats.go"
)

// tokenMadeOnOne uses tokens on the other nodes as soon as one has answered with
// them, and then finds the use on each.
func (h *threeNodes) tokenMadeOnOne(t *testing.T) {
	tries := 12
	if !testing.Short() {
		tries = 60 // each makes two tokens, and a user may have 200
	}
	var id string
	for i := range tries {
		maker := i % 3
		made, token := h.token(maker)
		id = made
		for _, user := range []int{(maker + 1) % 3, (maker + 2) % 3} {
			there := &caller{t: t, base: h.ada[user].base, token: token}
			a := there.get("/data/w/list")
			for deadline := time.Now().Add(testLimit); a.Code == 503 && time.Now().Before(deadline); { // a busy node cannot tell in time
				a = there.get("/data/w/list")
			}
			if a.Code != 200 {
				t.Errorf("made on node %d, at node %d: %d %s", maker, user, a.Code, a.Body)
			}
		}
		_, unused := h.token(maker)
		if _, err := loadOrders(t.Context(), h.at[(maker+1)%3], unused); err != nil {
			t.Errorf("made on node %d, attached at node %d: %v", maker, (maker+1)%3, err)
		}
	}
	for node, ada := range h.ada {
		eventually(t, func() string {
			var all []struct {
				ID   string
				Used *time.Time `json:"last_used_at"`
			}
			ada.get("/data/w/tokens").into(t, &all)
			for _, doc := range all {
				if doc.ID == id && doc.Used != nil {
					return ""
				}
			}
			return fmt.Sprintf("node %d does not show the use on another", node)
		})
	}
}

// tokenRevokedOnOne has a token in use on every node, in every way that there is,
// and revokes it on one.
func (h *threeNodes) tokenRevokedOnOne(t *testing.T) {
	id, token := h.token(0)
	_, keys, metadata := h.loaded(1, token)
	read := func(node int) error {
		keys["s3.endpoint"] = h.at[node]
		_, err := table.NewFromLocation(t.Context(), table.Identifier{"shop", "orders"}, metadata, iceio.LoadFSFunc(keys, metadata), nil)
		return err
	}
	enter := func(node int) error {
		nc, err := nats.Connect("nats://"+h.servers.Address(node), nats.UserInfo("any", token), nats.CustomInboxPrefix("_INBOX.acme._."+id), nats.Timeout(10*time.Second))
		if err == nil {
			nc.Close()
		}
		return err
	}
	machines, streams := make([]*caller, 3), make([]<-chan string, 3)
	for node := range h.at {
		machines[node] = &caller{t: t, base: h.ada[node].base, token: token}
		streams[node] = h.follow(t, node, token)
		if err := errors.Join(read(node), enter(node)); err != nil {
			t.Fatalf("node %d, before: %v", node, err)
		}
	}
	if a := h.ada[2].call("DELETE", "/data/w/tokens/"+id, nil); a.Code != 200 {
		t.Fatalf("revoke: %s", a.Body)
	}
	for node, at := range h.at {
		for what, try := range map[string]func() bool{
			"REST": func() bool {
				a := machines[node].get("/data/w/list")
				return a.Code == 401 && strings.Contains(a.Message, "revoked")
			},
			"the catalog": func() bool {
				_, err := rest.NewCatalog(t.Context(), "lake", at+"/iceberg", rest.WithOAuthToken(token), rest.WithWarehouseLocation("w"))
				return refusedFor("revoked", err)
			},
			"keys":           func() bool { return refusedFor("revoked", read(node)) },
			"the bus's door": func() bool { return errors.Is(enter(node), nats.ErrAuthorization) },
		} {
			if took := eventually(t, func() string {
				if !try() {
					return fmt.Sprintf("node %d, %s: a revoked token is taken", node, what)
				}
				return ""
			}); took > time.Second {
				t.Logf("node %d, %s: refused after %s", node, what, took)
			}
		}
		select {
		case last := <-streams[node]:
			if last != ": the token was revoked" {
				t.Errorf("node %d: a stream of events ended with %q", node, last)
			}
		case <-time.After(testLimit):
			t.Errorf("node %d: a stream of events goes on", node)
		}
	}
}

// follow opens a stream of events and sends its last line when it has ended.
func (h *threeNodes) follow(t *testing.T, node int, token string) <-chan string {
	t.Helper()
	res := h.get(t, h.ada[node].base+"/data/w/events", token, "Accept", "text/event-stream")
	if res.StatusCode != 200 {
		t.Fatalf("events at node %d: %d", node, res.StatusCode)
	}
	ended := make(chan string, 1)
	go func() {
		defer res.Body.Close()
		last, lines := "", bufio.NewScanner(res.Body)
		for lines.Scan() {
			if lines.Text() != "" {
				last = lines.Text()
			}
		}
		ended <- last
	}()
	return ended
}

// loaded is what a node's catalog answers to who loads the orders: with the keys to
// their files, and the place of their metadata.
func (h *threeNodes) loaded(node int, token string, headers ...string) (tag string, keys map[string]string, metadata string) {
	h.t.Helper()
	res := h.get(h.t, h.at[node]+"/iceberg/v1/w/namespaces/shop/tables/orders", token, append(headers, "X-Iceberg-Access-Delegation", "vended-credentials")...)
	defer res.Body.Close()
	var doc struct {
		Location string `json:"metadata-location"`
		Config   map[string]string
	}
	if err := json.NewDecoder(res.Body).Decode(&doc); err != nil || res.StatusCode != 200 || doc.Config["s3.access-key-id"] == "" {
		h.t.Fatalf("load at node %d: %d %v %+v", node, res.StatusCode, err, doc)
	}
	readsByVendedKeys()
	return res.Header.Get("ETag"), doc.Config, doc.Location
}

func (h *threeNodes) get(t *testing.T, url, token string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// loadOrders attaches a node's catalog and loads the orders.
func loadOrders(ctx context.Context, at, token string) (*table.Table, error) {
	catalog, err := rest.NewCatalog(ctx, "lake", at+"/iceberg", rest.WithOAuthToken(token), rest.WithWarehouseLocation("w"))
	if err != nil {
		return nil, err
	}
	return catalog.LoadTable(ctx, table.Identifier{"shop", "orders"})
}
