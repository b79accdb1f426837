package bus

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// maxGuests bounds the accounts of subscribers, one for each distinct grant.
const maxGuests = 10_000

const (
	// maxConnections bounds those of one grant at the embedded broker.
	maxConnections = 64
	// maxSubscriptions bounds those of one connection. Ours to the embedded
	// broker, too, have fewer by far.
	maxSubscriptions = 2048
)

// JetStream's calls on the events, and the acknowledgement of one delivery.
const (
	apiConsumer = "$JS.API.CONSUMER."
	apiNext     = "$JS.API.CONSUMER.MSG.NEXT." + StreamEvents
	apiAck      = "$JS.ACK." + StreamEvents
	apiFlow     = "$JS.FC." + StreamEvents // a client that pushes go to says that it got so far

	inboxPrefix = "_INBOX."
)

// guestCalls are what a subscriber may publish: calls that the gate looks at,
// and pulls and acks.
func guestCalls() []string {
	return []string{api + "INFO", api + "STREAM.NAMES", api + "STREAM.LIST", api + "STREAM.INFO." + StreamEvents,
		apiConsumer + "NAMES." + StreamEvents, apiConsumer + "LIST." + StreamEvents,
		apiConsumer + "CREATE." + StreamEvents, apiConsumer + "CREATE." + StreamEvents + ".>", apiConsumer + "DURABLE.CREATE." + StreamEvents + ".*",
		apiConsumer + "INFO." + StreamEvents + ".*", apiConsumer + "DELETE." + StreamEvents + ".*", apiConsumer + "PAUSE." + StreamEvents + ".*",
		apiConsumer + "RESET." + StreamEvents + ".*", apiConsumer + "UNPIN." + StreamEvents + ".*", apiNext + ".*", apiAck + ".>", apiFlow + ".>"}
}

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
	for _, subject := range []string{subjectLive, subjectPush} {
		if err := home.AddStreamExport(subject+".>", nil); err != nil {
			return fmt.Errorf("offer the events to subscribers: %w", err)
		}
	}
	for subject, answers := range map[string]server.ServiceRespType{
		gateSubject + ".>": server.Singleton, apiNext + ".*": server.Streamed, apiAck + ".>": server.Streamed, apiFlow + ".>": server.Singleton,
	} {
		if err := home.AddServiceExportWithResponse(subject, answers, nil); err != nil {
			return fmt.Errorf("offer %s to subscribers: %w", subject, err)
		}
	}
	g := newGate(nc, d.broker.log)
	if err := g.remember(); err != nil {
		return fmt.Errorf("find the subscribers' consumers: %w", err)
	}
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
	who, err := d.account(grant)
	if err != nil {
		d.broker.log.Warn("cannot let a subscriber in", "address", c.RemoteAddress().String(), "error", err)
		return false
	}
	if who.account.NumLocalConnections() >= maxConnections {
		d.broker.log.Warn("a subscriber has too many connections already", "address", c.RemoteAddress().String(), "connections", maxConnections)
		return false
	}
	c.RegisterUser(&server.User{
		Username:           who.name,
		Account:            who.account,
		ConnectionDeadline: grant.Expires,
		Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: append(guestCalls(), who.passage+".>")},
			Subscribe: &server.SubjectPermission{Allow: append([]string{inboxPrefix + ">"}, grant.Subscribe...)},
		},
	})
	return true
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// account returns the guest of a grant, with its account. Two connections with
// the same grant share it, and with it their inboxes: neither sees more than the
// other may.
func (d *door) account(grant Grant) (*guest, error) {
	if !grant.Expires.IsZero() && !grant.Expires.After(time.Now()) {
		return nil, errors.New("the token has expired")
	}
	if !eventFilters(grant.Subscribe) {
		return nil, errors.New("the token may read nothing, or more than events")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gate == nil {
		return nil, errors.New("the bus is still starting")
	}
	who := d.gate.register(grant.Subscribe)
	if d.guests[who.name] != nil {
		return who, nil
	}
	if len(d.guests) >= maxGuests {
		return nil, errors.New("too many different subscribers since the start")
	}
	account, err := d.build(who)
	if err != nil {
		return nil, err
	}
	d.guests[who.name] = account
	return who, nil
}

func (d *door) build(who *guest) (*server.Account, error) {
	home := d.broker.server.GlobalAccount()
	account, err := d.broker.server.RegisterAccount(who.name)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", who.name, err)
	}
	for _, f := range who.filters {
		if err := account.AddMappedStreamImport(home, live(f), f); err != nil {
			return nil, fmt.Errorf("import %s: %w", f, err)
		}
	}
	if err := account.AddMappedStreamImport(home, d.gate.pushPrefix(who)+">", inboxPrefix+">"); err != nil {
		return nil, fmt.Errorf("import what is pushed: %w", err)
	}
	// Only what a mapping of the guest's leads into the passage gets to JetStream.
	calls := map[string]string{who.passage + ".next.*": apiNext + ".*", who.passage + ".ack.>": apiAck + ".>", who.passage + ".flow.>": apiFlow + ".>"}
	for _, from := range guestCalls() {
		if call, ok := strings.CutPrefix(from, api); ok && from != apiNext+".*" {
			calls[from] = gateSubject + "." + who.name + "." + call
		}
	}
	for from, to := range calls {
		if err := account.AddServiceImport(home, from, to); err != nil {
			return nil, fmt.Errorf("import %s: %w", to, err)
		}
	}
	return account, who.bind(account)
}
