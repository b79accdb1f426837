package guests

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"headwater/bus/bustest/broker"
)

// A revoked token ends its connections and lets nobody in, and nobody else's
// connection is touched.
func TestRevokedTokenLeavesTheDoor(t *testing.T) {
	t.Parallel()
	var revoked atomic.Bool
	a, address, _ := serve(t, func(token string) (Grant, error) {
		if token == "tok_1" && revoked.Load() {
			return Grant{}, errors.New("it was revoked")
		}
		g := Grant{Subscribe: []string{"headwater.events.acme.*.ada.>"}}
		if token != "adas" {
			g.ID = token
		}
		return g, nil
	})
	connect := func(token string, opts ...nats.Option) (*nats.Conn, error) {
		nc, err := nats.Connect("nats://"+address, append(opts, nats.UserInfo("any", token), nats.NoReconnect())...)
		if err == nil {
			t.Cleanup(nc.Close)
		}
		return nc, err
	}
	closed := make(chan error, 1)
	held, err := connect("tok_1", nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { closed <- err }))
	if err != nil {
		t.Fatal(err)
	}
	others := []*nats.Conn{}
	for _, token := range []string{"adas", "tok_2"} {
		nc, err := connect(token)
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, nc)
	}
	for range 3 * maxConnections { // those that have ended are forgotten
		nc, err := connect("tok_2")
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
	}
	a.mu.Lock()
	if n := len(a.held["tok_2"]); n > 2*maxConnections+1 {
		t.Errorf("%d connections of one token are remembered", n)
	}
	a.mu.Unlock()
	revoked.Store(true)
	a.Disconnect("tok_1")
	select {
	case <-closed:
	case <-time.After(broker.Limit):
		t.Fatal("the connection stays")
	}
	if held.IsConnected() {
		t.Error("it is connected")
	}
	if _, err := connect("tok_1"); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("it comes again: %v", err)
	}
	for _, nc := range others {
		if err := nc.FlushTimeout(broker.Limit); err != nil {
			t.Errorf("another's: %v", err)
		}
	}
}

// On an external cluster a connection whose token may be revoked ends soon, and is
// judged again.
func TestCalloutAsksAgain(t *testing.T) {
	issuer, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	year := time.Now().Add(365 * 24 * time.Hour)
	for id, most := range map[string]time.Duration{"tok_1": calloutRevocable, "": 366 * 24 * time.Hour} {
		c := &callout{issuer: issuer, account: AuthAccountDefault, authenticate: func(string) (Grant, error) {
			return Grant{Subscribe: []string{"headwater.events.acme.*.ada.>"}, Inbox: "_INBOX.acme._.tok_1", Expires: year, ID: id}, nil
		}}
		question := jwt.NewAuthorizationRequestClaims(public)
		question.UserNkey, question.ConnectOptions.Password = public, "x"
		signed, err := c.decide(question)
		if err != nil {
			t.Fatal(err)
		}
		claims, err := jwt.DecodeUserClaims(signed)
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(time.Unix(claims.Expires, 0)); left > most || left < most/2 {
			t.Errorf("%q: %v are left, want %v", id, left, most)
		}
	}
}
