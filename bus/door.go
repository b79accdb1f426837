package bus

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"headwater/bus/event"
)

// maxGuests bounds the accounts of subscribers, one for each distinct grant.
const maxGuests = 10_000

const (
	apiCreate = "$JS.API.CONSUMER.CREATE." + StreamEvents
	apiNext   = "$JS.API.CONSUMER.MSG.NEXT." + StreamEvents
	apiInfo   = "$JS.API.CONSUMER.INFO." + StreamEvents
	apiDelete = "$JS.API.CONSUMER.DELETE." + StreamEvents
	apiStream = "$JS.API.STREAM.INFO." + StreamEvents
)

// door lets connections into the embedded broker. Ours, in-process and with
// random credentials, get the account that holds the streams. A subscriber gets
// an account of its own grant, into which only its event subjects and a few
// JetStream calls are imported: in a shared account it could name any subject,
// a command's or a secret's, as the place to send an answer to, which no
// permission prevents.
type door struct {
	broker       *broker
	authenticate func(password string) (Grant, error)

	mu     sync.Mutex
	gate   *gate // nil until the streams stand
	guests map[string]*server.Account
}

func newDoor(b *broker, authenticate func(string) (Grant, error)) *door {
	return &door{broker: b, authenticate: authenticate, guests: map[string]*server.Account{}}
}

// open begins to let subscribers in.
func (d *door) open(nc *nats.Conn) error {
	home := d.broker.server.GlobalAccount()
	if err := home.AddStreamExport(event.SubjectPrefix+".>", nil); err != nil {
		return fmt.Errorf("offer the events to subscribers: %w", err)
	}
	if err := home.AddServiceExport(gateSubject+".>", nil); err != nil {
		return fmt.Errorf("offer the gate to subscribers: %w", err)
	}
	for subject, answers := range map[string]server.ServiceRespType{
		apiNext + ".*": server.Streamed, apiInfo + ".*": server.Singleton, apiDelete + ".*": server.Singleton,
	} {
		if err := home.AddServiceExportWithResponse(subject, answers, nil); err != nil {
			return fmt.Errorf("offer %s to subscribers: %w", subject, err)
		}
	}
	g := &gate{nc: nc, log: d.broker.log, busy: make(chan struct{}, gateRequests), guests: map[string]*guest{}}
	if err := g.listen(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gate = g
	return nil
}

// Check decides about one connection; the server calls it.
func (d *door) Check(c server.ClientAuthentication) bool {
	opts := c.GetOpts()
	if c.Kind() != server.CLIENT || opts == nil {
		return false
	}
	if same(opts.Username, d.broker.user) && same(opts.Password, d.broker.password) {
		c.RegisterUser(&server.User{Username: "headwater", Account: d.broker.server.GlobalAccount()})
		return true
	}
	token := opts.Password
	if token == "" {
		token = opts.Token
	}
	if token == "" || d.authenticate == nil {
		return false
	}
	grant, err := d.authenticate(token)
	if err != nil {
		d.broker.log.Debug("refused a subscriber", "address", c.RemoteAddress().String(), "error", err)
		return false
	}
	account, err := d.account(grant)
	if err != nil {
		d.broker.log.Warn("cannot let a subscriber in", "address", c.RemoteAddress().String(), "error", err)
		return false
	}
	c.RegisterUser(&server.User{
		Username:           account.GetName(),
		Account:            account,
		ConnectionDeadline: grant.Expires,
		Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{apiStream, apiCreate + ".>", apiNext + ".*", apiInfo + ".*", apiDelete + ".*"}},
			Subscribe: &server.SubjectPermission{Allow: append([]string{"_INBOX.>"}, grant.Subscribe...)},
		},
	})
	return true
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// account returns the account of a grant. Two connections with the same grant
// share it, and with it their inboxes: neither sees more than the other may.
func (d *door) account(grant Grant) (*server.Account, error) {
	if !grant.Expires.IsZero() && !grant.Expires.After(time.Now()) {
		return nil, errors.New("the token has expired")
	}
	filters := slices.Sorted(slices.Values(grant.Subscribe))
	filters = slices.Compact(filters)
	if len(filters) == 0 {
		return nil, errors.New("the token may read nothing")
	}
	for _, f := range filters {
		if !covers(event.SubjectPrefix+".>", f) {
			return nil, fmt.Errorf("the filter %q is not one of events", f)
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(filters, "\n")))
	name := "guest-" + hex.EncodeToString(sum[:16])

	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gate == nil {
		return nil, errors.New("the bus is still starting")
	}
	if account := d.guests[name]; account != nil {
		return account, nil
	}
	if len(d.guests) >= maxGuests {
		return nil, errors.New("too many different subscribers since the start")
	}
	account, err := d.build(name, filters)
	if err != nil {
		return nil, err
	}
	d.guests[name] = account
	d.gate.register(name, filters)
	return account, nil
}

func (d *door) build(name string, filters []string) (*server.Account, error) {
	home := d.broker.server.GlobalAccount()
	account, err := d.broker.server.RegisterAccount(name)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", name, err)
	}
	for _, f := range filters {
		if err := account.AddStreamImport(home, f, ""); err != nil {
			return nil, fmt.Errorf("import %s: %w", f, err)
		}
	}
	for from, to := range map[string]string{
		apiCreate + ".>": gateSubject + "." + name + ".create.>",
		apiStream:        gateSubject + "." + name + ".stream",
		apiNext + ".*":   apiNext + ".*",
		apiInfo + ".*":   apiInfo + ".*",
		apiDelete + ".*": apiDelete + ".*",
	} {
		if err := account.AddServiceImport(home, from, to); err != nil {
			return nil, fmt.Errorf("import %s: %w", from, err)
		}
	}
	return account, nil
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
