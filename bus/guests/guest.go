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
	// guestConsumers is how many ephemeral consumers a guest may create in each
	// window. The broker ends one that nobody pulls from after the same time.
	guestConsumers = 200
	guestWindow    = 5 * time.Minute
	// organizationConsumers is that number for all guests of one organization.
	organizationConsumers = 400
)

// quota counts somebody's ephemeral consumers within a window, and their
// requests in progress.
type quota struct {
	working atomic.Int64

	mu    sync.Mutex
	since time.Time
	n     int
}

// take counts one more consumer, and returns false if the window is full.
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
	name    string // derived from the filters alone: the same after a restart and on every node
	filters []string
	account *server.Account // nil on an external cluster
	passage string          // secret subject prefix that leads from the account to JetStream

	making sync.Mutex // held while a consumer is created or removed

	made, all *quota // by this guest, and by its organization

	mu   sync.Mutex
	real map[string]string // names on the stream, by the guest's names; unused on an external cluster
}

// eventFilters reports whether there is a filter and every filter is one of
// events.
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

// register returns the guest with these filters, and creates it if needed.
func (p *proxy) register(filters []string) *guest {
	filters = slices.Compact(slices.Sorted(slices.Values(filters)))
	name := guestName(filters)
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.guests[name]
	if who == nil {
		if len(p.guests) >= maxGuests && p.outside != nil {
			clear(p.guests) // on an external cluster they only count consumers within a window
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

// madeBy returns the quota of an organization's guests; "" is for guests of
// several organizations. The caller holds the proxy's lock.
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

// alias lets the guest pull from a consumer, and ack its deliveries, under the
// guest's own name for it. An empty real name ends that.
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

// mapCalls maps the pulls and acks of one consumer into the passage. Those of
// any other consumer go nowhere, whatever its name.
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

// forget deletes a name, unless it stands for another consumer by now.
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

// count returns an error if the window has no more consumers left.
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

// covers reports whether outer matches every subject that inner matches. Both
// must be well-formed filters.
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
