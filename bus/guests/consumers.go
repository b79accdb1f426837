package guests

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"headwater/bus/event"
)

const (
	// maxDurables bounds the consumers a guest may leave on the stream.
	maxDurables = 20
	// maxOrganizationDurables bounds those of all guests of one organization.
	maxOrganizationDurables = 200
	// durableIdle is how long one stays that nobody pulls from.
	durableIdle = 30 * 24 * time.Hour
	// maxUnacked and maxPulls bound what one consumer keeps in memory. Clients
	// ask for more without being told to, so that more becomes as much as this.
	maxUnacked = 10_000
	maxPulls   = 512

	// On a guest's consumer: whose it is, and what the guest calls it.
	metaGuest = "headwater.guest"
	metaName  = "headwater.name"

	// maxSubject bounds what a guest chooses of a subject.
	maxSubject = 255
)

var (
	errNoConsumer = errors.New("consumer not found")
	consumerName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// consumerRequest is what a subscriber may ask for. Any other field is refused,
// so that a newer server's options stay closed until they are looked at.
type consumerRequest struct {
	Stream   string         `json:"stream_name"`
	Config   consumerConfig `json:"config"`
	Action   string         `json:"action,omitempty"`
	Pedantic bool           `json:"pedantic,omitempty"`
}

type consumerConfig struct {
	Name              string            `json:"name,omitempty"`
	Durable           string            `json:"durable_name,omitempty"`
	Description       string            `json:"description,omitempty"`
	DeliverPolicy     string            `json:"deliver_policy,omitempty"`
	OptStartSeq       uint64            `json:"opt_start_seq,omitempty"`
	OptStartTime      *time.Time        `json:"opt_start_time,omitempty"`
	AckPolicy         string            `json:"ack_policy,omitempty"`
	AckWait           time.Duration     `json:"ack_wait,omitempty"`
	MaxDeliver        int               `json:"max_deliver,omitempty"`
	BackOff           []time.Duration   `json:"backoff,omitempty"`
	ReplayPolicy      string            `json:"replay_policy,omitempty"`
	FilterSubject     string            `json:"filter_subject,omitempty"`
	FilterSubjects    []string          `json:"filter_subjects,omitempty"`
	RateLimit         uint64            `json:"rate_limit_bps,omitempty"`
	SampleFrequency   string            `json:"sample_freq,omitempty"`
	HeadersOnly       bool              `json:"headers_only,omitempty"`
	MaxAckPending     int               `json:"max_ack_pending,omitempty"`
	MaxWaiting        int               `json:"max_waiting,omitempty"`
	MaxBatch          int               `json:"max_batch,omitempty"`
	MaxExpires        time.Duration     `json:"max_expires,omitempty"`
	MaxBytes          int               `json:"max_bytes,omitempty"`
	DeliverSubject    string            `json:"deliver_subject,omitempty"`
	DeliverGroup      string            `json:"deliver_group,omitempty"`
	FlowControl       bool              `json:"flow_control,omitempty"`
	Heartbeat         time.Duration     `json:"idle_heartbeat,omitempty"`
	InactiveThreshold time.Duration     `json:"inactive_threshold,omitempty"`
	PriorityGroups    []string          `json:"priority_groups,omitempty"`
	PriorityPolicy    string            `json:"priority_policy,omitempty"`
	PinnedTTL         time.Duration     `json:"priority_timeout,omitempty"`
	PauseUntil        *time.Time        `json:"pause_until,omitempty"`
	Replicas          int               `json:"num_replicas,omitempty"`
	Memory            bool              `json:"mem_storage,omitempty"`
	Metadata          map[string]string `json:"metadata,omitempty"`
}

// create makes a consumer, or changes one of the guest's own. rest is the
// consumer's name and maybe its filter, from the subject; both may be missing.
func (p *proxy) create(who *guest, inbox, rest string, body []byte) ([]byte, error) {
	name, filter, _ := strings.Cut(rest, ".")
	req, err := readRequest(name, filter, body)
	if err != nil {
		return nil, err
	}
	c := &req.Config
	name = c.Name
	if err := narrow(who, c); err != nil {
		return nil, err
	}
	if err := p.pushInto(who, inbox, c); err != nil {
		return nil, err
	}
	who.making.Lock()
	defer who.making.Unlock()
	real, info, err := p.owned(who, name)
	isNew := errors.Is(err, errNoConsumer)
	switch {
	case err == nil:
		if durable := configOf(info)["durable_name"] != nil; durable != (c.Durable != "") {
			return nil, errors.New("a consumer of that name exists and is of another kind")
		}
	case isNew:
		if req.Action == "update" {
			return nil, err
		}
		if real, err = p.newName(who, c); err != nil {
			return nil, err
		}
		// Without it, an action left open could change somebody else's.
		req.Action = "create"
	default:
		return nil, err
	}
	bound(c, p.replicas)
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	c.Metadata[metaGuest], c.Metadata[metaName] = who.name, name
	c.Name = real
	if c.Durable != "" {
		c.Durable = real
	}
	return p.order(who, name, req, isNew)
}

// order has the broker make the consumer. What it pushes may be acked before the
// broker's answer is here, so that the name leads there already.
func (p *proxy) order(who *guest, name string, req *consumerRequest, isNew bool) ([]byte, error) {
	real := req.Config.Name
	call := "CONSUMER.CREATE." + event.Stream + "." + real
	if f := req.Config.FilterSubject; f != "" {
		call += "." + f
	}
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	if p.outside == nil {
		if err := who.alias(name, real); err != nil {
			return nil, err
		}
	}
	answer, err := p.askJSON(call, body)
	if isNew && p.outside == nil && (err != nil || answer["error"] != nil) {
		who.forget(name, real)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(shown(answer))
}

// readRequest refuses what a reader does not need.
func readRequest(name, filter string, body []byte) (*consumerRequest, error) {
	if len(body) > 64<<10 {
		return nil, errors.New("the request is too long")
	}
	req := new(consumerRequest)
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(req); err != nil {
		return nil, fmt.Errorf("subscribers may not ask for that: %w", err)
	}
	c := &req.Config
	// Older calls name the consumer in the body alone, or leave its name to the broker.
	name = cmp.Or(name, c.Name, c.Durable, rand.Text())
	c.Name = cmp.Or(c.Name, name)
	if c.PauseUntil != nil && c.PauseUntil.IsZero() {
		c.PauseUntil = nil // the CLI always sends one
	}
	switch {
	case !consumerName.MatchString(name) || c.Name != name || c.Durable != "" && c.Durable != name:
		return nil, errors.New("a consumer needs one name of up to 64 letters, digits, - and _")
	case req.Stream != event.Stream:
		return nil, fmt.Errorf("the stream is %s", event.Stream)
	case filter != "" && filter != c.FilterSubject:
		return nil, errors.New("the filter differs from the subject's")
	}
	for key := range c.Metadata {
		if strings.HasPrefix(key, "headwater.") {
			return nil, errors.New("metadata that begins with headwater. is ours")
		}
	}
	return req, nil
}

// narrow checks the filters. Without one, or with ">", a consumer reads
// everything that its guest may.
func narrow(who *guest, c *consumerConfig) error {
	if c.FilterSubject == ">" {
		c.FilterSubject = ""
	}
	if c.FilterSubject == "" && len(c.FilterSubjects) == 0 {
		if c.FilterSubjects = who.filters; len(who.filters) == 1 {
			c.FilterSubject, c.FilterSubjects = who.filters[0], nil
		}
	}
	for _, f := range append([]string{c.FilterSubject}, c.FilterSubjects...) {
		if f != "" && !who.allows(f) {
			return fmt.Errorf("the token does not allow %q; it allows %s", f, strings.Join(who.filters, ", "))
		}
	}
	return nil
}

// newName returns the name on the stream of a consumer that is to be made.
func (p *proxy) newName(who *guest, c *consumerConfig) (string, error) {
	p.sweep()
	if !who.count() {
		return "", errors.New("too many consumers, wait a few minutes")
	}
	if c.Durable != "" {
		mine, all, err := p.durables(who)
		if err != nil {
			return "", err
		}
		if all >= maxOrganizationDurables {
			return "", fmt.Errorf("%d durable consumers are the most for one organization: remove one", maxOrganizationDurables)
		}
		if mine >= maxDurables {
			return "", fmt.Errorf("%d durable consumers are the most for one token's subjects: remove one", maxDurables)
		}
	}
	if p.outside != nil {
		return c.Name, p.outside.nameable(who, c)
	}
	// What follows the hard part is for people, and for nats.go's ordered
	// consumer: it counts its consumers in their names and reads the count back.
	return rand.Text() + "-" + c.Name, nil
}

// bound gives a consumer its end: a durable one is on disk and ends 30 days
// after the last pull, any other is in memory and ends after minutes.
func bound(c *consumerConfig, replicas int) {
	limit := guestWindow
	if c.Memory, c.Replicas = true, 1; c.Durable != "" {
		c.Memory, c.Replicas, limit = false, max(1, replicas), durableIdle
	}
	if c.InactiveThreshold <= 0 || c.InactiveThreshold > limit {
		c.InactiveThreshold = limit
	}
	if c.MaxAckPending < 0 || c.MaxAckPending > maxUnacked {
		c.MaxAckPending = maxUnacked
	}
	if c.AckPolicy == "none" || c.AckPolicy == "" {
		c.MaxAckPending = 0
	}
	c.MaxWaiting = min(c.MaxWaiting, maxPulls)
}
