package guests

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"headwater/bus/event"
)

// maxGuests is the number of subscriber accounts, one for each distinct grant.
const maxGuests = 10_000

const (
	// maxConnections is the number of connections of one grant to the embedded
	// broker.
	maxConnections = 64
	// MaxSubscriptions is the number of subscriptions of one connection. The
	// service's own connections to the embedded broker need far fewer.
	MaxSubscriptions = 2048
)

// Subjects of JetStream's calls on the events, and of acknowledgements.
const (
	apiConsumer = "$JS.API.CONSUMER."
	apiNext     = "$JS.API.CONSUMER.MSG.NEXT." + event.Stream
	apiAck      = "$JS.ACK." + event.Stream
	apiFlow     = "$JS.FC." + event.Stream // flow control: a push client reports how far it has received

	inboxPrefix = "_INBOX."
)

// guestCalls returns the subjects to which a subscriber may publish: calls that
// the proxy checks, pulls and acks.
func guestCalls() []string {
	return []string{api + "INFO", api + "STREAM.NAMES", api + "STREAM.LIST", api + "STREAM.INFO." + event.Stream,
		apiConsumer + "NAMES." + event.Stream, apiConsumer + "LIST." + event.Stream,
		apiConsumer + "CREATE." + event.Stream, apiConsumer + "CREATE." + event.Stream + ".>", apiConsumer + "DURABLE.CREATE." + event.Stream + ".*",
		apiConsumer + "INFO." + event.Stream + ".*", apiConsumer + "DELETE." + event.Stream + ".*", apiConsumer + "PAUSE." + event.Stream + ".*",
		apiConsumer + "RESET." + event.Stream + ".*", apiConsumer + "UNPIN." + event.Stream + ".*", apiNext + ".*", apiAck + ".>", apiFlow + ".>"}
}

// Authenticator admits connections to the embedded broker. The service's own
// connections, in-process and with random credentials, get the account that
// holds the streams. A guest gets an account for its grant, into which only its
// event subjects and a few JetStream calls are imported: in a shared account it
// could name any subject, such as that of a command or a secret, as a reply
// subject, which no permission prevents. It is safe for concurrent use.
type Authenticator struct {
	user, password string // of the service's own connections
	authenticate   func(password string) (Grant, error)
	log            *slog.Logger
	broker         *server.Server

	mu     sync.Mutex
	proxy  *proxy // nil until the streams exist
	guests map[string]*server.Account
	held   map[string]map[uint64]struct{} // connections, by the id of their token
}

// NewAuthenticator returns the authenticator of a broker that is about to start.
// user and password are those of the service's own connections. authenticate
// verifies a guest's token; nil refuses all guests.
func NewAuthenticator(user, password string, authenticate func(string) (Grant, error), log *slog.Logger) *Authenticator {
	return &Authenticator{user: user, password: password, authenticate: authenticate, log: log, guests: map[string]*server.Account{}, held: map[string]map[uint64]struct{}{}}
}

// Attach sets the broker. Call it before the broker starts.
func (a *Authenticator) Attach(broker *server.Server) { a.broker = broker }

// Open begins to admit guests; call it once the streams exist. nc is a
// connection of the service, on which guests' requests are answered until it is
// closed.
func (a *Authenticator) Open(nc *nats.Conn) error {
	home := a.broker.GlobalAccount()
	for _, subject := range []string{SubjectLive, subjectPush} {
		if err := home.AddStreamExport(subject+".>", nil); err != nil {
			return fmt.Errorf("offer the events to subscribers: %w", err)
		}
	}
	for subject, answers := range map[string]server.ServiceRespType{
		proxySubject + ".>": server.Singleton, apiNext + ".*": server.Streamed, apiAck + ".>": server.Streamed, apiFlow + ".>": server.Singleton,
	} {
		if err := home.AddServiceExportWithResponse(subject, answers, nil); err != nil {
			return fmt.Errorf("offer %s to subscribers: %w", subject, err)
		}
	}
	p := newProxy(nc, a.log)
	if err := p.remember(); err != nil {
		return fmt.Errorf("find the subscribers' consumers: %w", err)
	}
	if err := p.listen(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.proxy = p
	return nil
}

// Check decides whether to admit a connection. The server calls it.
func (a *Authenticator) Check(c server.ClientAuthentication) bool {
	opts := c.GetOpts()
	if c.Kind() != server.CLIENT || opts == nil {
		return false
	}
	if same(opts.Username, a.user) && same(opts.Password, a.password) {
		c.RegisterUser(&server.User{Username: "headwater", Account: a.broker.GlobalAccount()})
		return true
	}
	token := opts.Password
	if token == "" {
		token = opts.Token
	}
	if token == "" || a.authenticate == nil {
		return false
	}
	grant, err := a.authenticate(token)
	if err != nil {
		a.log.Debug("refused a subscriber", "address", c.RemoteAddress().String(), "error", err)
		return false
	}
	if grant.ID != "" {
		// A later revocation finds the connection by its id. An earlier one is
		// noticed by authenticating once more.
		a.remember(grant.ID, c.GetID())
		if grant, err = a.authenticate(token); err != nil {
			a.log.Debug("refused a subscriber", "address", c.RemoteAddress().String(), "error", err)
			return false
		}
	}
	who, err := a.account(grant)
	if err != nil {
		a.log.Warn("cannot let a subscriber in", "address", c.RemoteAddress().String(), "error", err)
		return false
	}
	if who.account.NumLocalConnections() >= maxConnections {
		a.log.Warn("a subscriber has too many connections already", "address", c.RemoteAddress().String(), "connections", maxConnections)
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

// account returns the guest of a grant with its account. Connections with the
// same grant share it and its inboxes; neither sees more than the other may.
func (a *Authenticator) account(grant Grant) (*guest, error) {
	if !grant.Expires.IsZero() && !grant.Expires.After(time.Now()) {
		return nil, errors.New("the token has expired")
	}
	if !eventFilters(grant.Subscribe) {
		return nil, errors.New("the token may read nothing, or more than events")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.proxy == nil {
		return nil, errors.New("the bus is still starting")
	}
	who := a.proxy.register(grant.Subscribe)
	if a.guests[who.name] != nil {
		return who, nil
	}
	if len(a.guests) >= maxGuests {
		return nil, errors.New("too many different subscribers since the start")
	}
	account, err := a.build(who)
	if err != nil {
		return nil, err
	}
	a.guests[who.name] = account
	return who, nil
}

func (a *Authenticator) build(who *guest) (*server.Account, error) {
	home := a.broker.GlobalAccount()
	account, err := a.broker.RegisterAccount(who.name)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", who.name, err)
	}
	for _, f := range who.filters {
		if err := account.AddMappedStreamImport(home, live(f), f); err != nil {
			return nil, fmt.Errorf("import %s: %w", f, err)
		}
	}
	if err := account.AddMappedStreamImport(home, a.proxy.pushPrefix(who)+">", inboxPrefix+">"); err != nil {
		return nil, fmt.Errorf("import what is pushed: %w", err)
	}
	// Only calls that a mapping of the guest directs into the passage reach
	// JetStream.
	calls := map[string]string{who.passage + ".next.*": apiNext + ".*", who.passage + ".ack.>": apiAck + ".>", who.passage + ".flow.>": apiFlow + ".>"}
	for _, from := range guestCalls() {
		if call, ok := strings.CutPrefix(from, api); ok && from != apiNext+".*" {
			calls[from] = proxySubject + "." + who.name + "." + call
		}
	}
	for from, to := range calls {
		if err := account.AddServiceImport(home, from, to); err != nil {
			return nil, fmt.Errorf("import %s: %w", to, err)
		}
	}
	return account, who.bind(account)
}
