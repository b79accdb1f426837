package guests

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"headwater/bus/event"
	"headwater/bus/wire"
)

const (
	// A guest may make this many consumers that pass in each window; the broker
	// ends one that nobody pulls from after the same time.
	guestConsumers = 200
	guestWindow    = 5 * time.Minute
	// All guests of one organization may make no more than this many.
	organizationConsumers = 400
)

// quota counts the consumers that pass of somebody, within a window, and what the
// proxy works on for them.
type quota struct {
	working atomic.Int64

	mu    sync.Mutex
	since time.Time
	n     int
}

// take counts one more, and reports whether there is room for it.
func (m *quota) take(most int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); now.Sub(m.since) > guestWindow {
		m.since, m.n = now, 0
	}
	m.n++
	return m.n <= most
}

// guest is everybody who holds the same grant.
type guest struct {
	name    string // from the filters alone: the same after a restart and on every node
	filters []string
	account *server.Account // nil on an external cluster
	passage string          // what leads from the account to JetStream begins so: a secret

	making sync.Mutex // held while a consumer is made or removed

	made, all *quota // by it, and by its organization

	mu   sync.Mutex
	real map[string]string // names on the stream of the consumers it named; unused on an external cluster
}

// eventFilters reports whether every filter is one of events, and there is one.
func eventFilters(filters []string) bool {
	for _, f := range filters {
		if !covers(event.SubjectPrefix+".>", f) {
			return false
		}
	}
	return len(filters) > 0
}

func guestName(filters []string) string {
	sum := sha256.Sum256([]byte(strings.Join(filters, "\n")))
	return "guest-" + hex.EncodeToString(sum[:16])
}

// register returns the guest with these filters, a new one if need be.
func (p *proxy) register(filters []string) *guest {
	filters = slices.Compact(slices.Sorted(slices.Values(filters)))
	name := guestName(filters)
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.guests[name]
	if who == nil {
		if len(p.guests) >= maxGuests && p.outside != nil {
			clear(p.guests) // there they only count consumers within a window
		}
		who = &guest{name: name, filters: filters, real: p.unclaimed[name], passage: wire.SecretName(), made: new(quota), all: p.madeBy(wire.OrganizationIn(filters))}
		if who.real == nil {
			who.real = map[string]string{}
		}
		delete(p.unclaimed, name)
		p.guests[name] = who
	}
	return who
}

// madeBy returns what the guests of an organization count in, with "" those of
// several. The proxy's lock is held.
func (p *proxy) madeBy(organization string) *quota {
	if p.made == nil || len(p.made) > maxGuests {
		p.made = map[string]*quota{}
	}
	if p.made[organization] == nil {
		p.made[organization] = new(quota)
	}
	return p.made[organization]
}

// bind gives the guest its account and the names of the consumers that it left.
func (w *guest) bind(account *server.Account) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.account = account
	for name, real := range w.real {
		if err := w.mapCalls(name, real); err != nil {
			return err
		}
	}
	return nil
}

// alias lets the guest pull from the consumer under its own name for it and
// confirm what it delivers, or no longer with an empty real name.
func (w *guest) alias(name, real string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if before := w.real[name]; before != real {
		w.drop(name)
	}
	if real == "" {
		return nil
	}
	w.real[name] = real
	if w.account == nil {
		return nil
	}
	return w.mapCalls(name, real)
}

// mapCalls maps the pulls and acks of one consumer into the passage. Those of any
// other have nowhere to go, whatever its name.
func (w *guest) mapCalls(name, real string) error {
	err := w.account.AddMapping(apiNext+"."+name, w.passage+".next."+real)
	if err == nil {
		err = w.account.AddMapping(apiAck+"."+real+".>", w.passage+".ack."+real+".>")
	}
	if err == nil {
		err = w.account.AddMapping(apiFlow+"."+real+".>", w.passage+".flow."+real+".>")
	}
	if err != nil {
		return fmt.Errorf("consumer %s: %w", name, err)
	}
	return nil
}

// aliases returns a copy of the names.
func (w *guest) aliases() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.real)
}

// forget drops a name, unless it means another consumer by now.
func (w *guest) forget(name, real string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.real[name] == real {
		w.drop(name)
	}
}

func (w *guest) drop(name string) {
	if w.account != nil {
		w.account.RemoveMapping(apiNext + "." + name)
		w.account.RemoveMapping(apiAck + "." + w.real[name] + ".>")
		w.account.RemoveMapping(apiFlow + "." + w.real[name] + ".>")
	}
	delete(w.real, name)
}

func (w *guest) realName(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.real[name]
}

// count refuses more consumers than a window has room for.
func (w *guest) count() bool {
	return w.made.take(guestConsumers) && w.all.take(organizationConsumers)
}

func (w *guest) allows(filter string) bool { return coversAny(w.filters, filter) }

func coversAny(outer []string, inner string) bool {
	for _, o := range outer {
		if covers(o, inner) {
			return true
		}
	}
	return false
}

// covers reports whether every subject that inner matches is also matched by
// outer. Both must be well-formed filters.
func covers(outer, inner string) bool {
	o, i := strings.Split(outer, "."), strings.Split(inner, ".")
	for n, token := range i {
		if token == "" || token == ">" && n != len(i)-1 || strings.ContainsAny(token, " \t\r\n") {
			return false
		}
		if len(token) > 1 && strings.ContainsAny(token, "*>") {
			return false
		}
	}
	for n, token := range o {
		if n >= len(i) {
			return false
		}
		switch {
		case token == ">":
			return true
		case i[n] == ">":
			return false
		case token != "*" && token != i[n]:
			return false
		}
	}
	return len(o) == len(i)
}
