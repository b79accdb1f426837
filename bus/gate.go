package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// gateSubject is where subscribers' requests that must be looked into arrive.
const gateSubject = "headwater.gate"

const (
	gateWait     = 5 * time.Second
	gateRequests = 256 // passed on at once
	// A guest may make this many consumers in each window; the broker ends one
	// that nobody pulls from after the same time.
	guestConsumers = 200
	guestWindow    = 5 * time.Minute
)

// gate passes subscribers' requests for consumers on to JetStream, if they ask
// for no more than a reader of granted events needs. A push consumer, for
// instance, could be told to deliver to any subject of the streams' account.
type gate struct {
	nc  *nats.Conn
	log *slog.Logger

	busy   chan struct{} // one place a request that is passed on
	mu     sync.Mutex
	guests map[string]*guest
}

type guest struct {
	filters []string
	since   time.Time
	made    int
}

func (g *gate) listen() error {
	for subject, answer := range map[string]nats.MsgHandler{
		gateSubject + ".*.stream":   g.stream,
		gateSubject + ".*.create.>": g.create,
	} {
		if _, err := g.nc.Subscribe(subject, answer); err != nil {
			return fmt.Errorf("open the gate: %w", err)
		}
	}
	return g.nc.FlushTimeout(gateWait)
}

func (g *gate) register(name string, filters []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.guests[name] = &guest{filters: filters}
}

// stream answers with the stream's settings and bounds. The request's body is
// dropped: it could ask for the list of everybody's subjects.
func (g *gate) stream(m *nats.Msg) { g.forward(m, apiStream, nil) }

// consumerRequest is what a subscriber may ask for. Any other field is refused,
// so that a newer server's options stay closed until they are looked at.
type consumerRequest struct {
	Stream string         `json:"stream_name"`
	Config consumerConfig `json:"config"`
	Action string         `json:"action"`
}

type consumerConfig struct {
	Name              string            `json:"name,omitempty"`
	Description       string            `json:"description,omitempty"`
	DeliverPolicy     string            `json:"deliver_policy"`
	OptStartSeq       uint64            `json:"opt_start_seq,omitempty"`
	OptStartTime      *time.Time        `json:"opt_start_time,omitempty"`
	AckPolicy         string            `json:"ack_policy"`
	ReplayPolicy      string            `json:"replay_policy"`
	FilterSubject     string            `json:"filter_subject,omitempty"`
	FilterSubjects    []string          `json:"filter_subjects,omitempty"`
	HeadersOnly       bool              `json:"headers_only,omitempty"`
	MaxDeliver        int               `json:"max_deliver,omitempty"`
	InactiveThreshold time.Duration     `json:"inactive_threshold,omitempty"`
	Replicas          int               `json:"num_replicas"`
	Memory            bool              `json:"mem_storage,omitempty"`
	Metadata          map[string]string `json:"metadata,omitempty"`
}

// A consumer's name is all that another guest would need to read from it, so it
// must be as hard to guess as the ones that clients make up.
var consumerName = regexp.MustCompile(`^[A-Za-z0-9_-]{20,64}$`)

func (g *gate) create(m *nats.Msg) {
	tokens := strings.SplitN(strings.TrimPrefix(m.Subject, gateSubject+"."), ".", 4) // guest, create, consumer, filter
	body, err := g.checked(tokens, m.Data)
	if err != nil {
		g.refuse(m, err)
		return
	}
	subject := apiCreate + "." + tokens[2]
	if len(tokens) == 4 {
		subject += "." + tokens[3]
	}
	g.forward(m, subject, body)
}

func (g *gate) checked(tokens []string, body []byte) ([]byte, error) {
	if len(tokens) < 3 || len(body) > 64<<10 {
		return nil, errors.New("not a request for a consumer")
	}
	var req consumerRequest
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&req); err != nil {
		return nil, fmt.Errorf("subscribers may make pull consumers without acks only: %w", err)
	}
	c := &req.Config
	switch {
	case !consumerName.MatchString(tokens[2]) || c.Name != tokens[2]:
		return nil, errors.New("use an ordered consumer: other consumers need a name of 20 to 64 characters that nobody guesses")
	case req.Stream != StreamEvents:
		return nil, fmt.Errorf("the stream is %s", StreamEvents)
	case c.AckPolicy != "none":
		return nil, errors.New(`ack_policy must be "none": keep the position yourself and use an ordered consumer`)
	case len(tokens) == 4 && tokens[3] != c.FilterSubject:
		return nil, errors.New("the filter differs from the subject's")
	}
	filters := c.FilterSubjects
	if c.FilterSubject != "" {
		filters = append(filters, c.FilterSubject)
	}
	if err := g.allow(tokens[0], filters); err != nil {
		return nil, err
	}
	// An update could turn another guest's consumer to other subjects.
	req.Action = "create"
	c.Memory, c.Replicas, c.Metadata, c.MaxDeliver = true, 1, nil, 0
	if c.InactiveThreshold <= 0 || c.InactiveThreshold > guestWindow {
		c.InactiveThreshold = guestWindow
	}
	return json.Marshal(req)
}

func (g *gate) allow(name string, filters []string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	guest := g.guests[name]
	if guest == nil || len(filters) == 0 {
		return errors.New("name the subjects to read as filter_subject or filter_subjects")
	}
	for _, f := range filters {
		if !coversAny(guest.filters, f) {
			return fmt.Errorf("the token does not allow %q; it allows %s", f, strings.Join(guest.filters, ", "))
		}
	}
	if now := time.Now(); now.Sub(guest.since) > guestWindow {
		guest.since, guest.made = now, 0
	}
	if guest.made++; guest.made > guestConsumers {
		return errors.New("too many consumers, wait a few minutes")
	}
	return nil
}

func coversAny(outer []string, inner string) bool {
	for _, o := range outer {
		if covers(o, inner) {
			return true
		}
	}
	return false
}

func (g *gate) forward(m *nats.Msg, subject string, body []byte) {
	// In a goroutine: one slow answer must not hold up other guests.
	select {
	case g.busy <- struct{}{}:
	default:
		g.refuse(m, errors.New("too many requests at once, try again"))
		return
	}
	go func() {
		defer func() { <-g.busy }()
		answer, err := g.nc.Request(subject, body, gateWait)
		if err != nil {
			g.refuse(m, err)
			return
		}
		if err := m.Respond(answer.Data); err != nil {
			g.log.Debug("cannot answer a subscriber", "error", err)
		}
	}()
}

// refuse answers as JetStream does, so that clients show the reason.
func (g *gate) refuse(m *nats.Msg, reason error) {
	body, err := json.Marshal(map[string]any{"type": "io.nats.jetstream.api.v1.consumer_create_response",
		"error": map[string]any{"code": 403, "err_code": 10003, "description": reason.Error()}})
	if err == nil {
		err = m.Respond(body)
	}
	if err != nil {
		g.log.Debug("cannot answer a subscriber", "error", err)
	}
}
