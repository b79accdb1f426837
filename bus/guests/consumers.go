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
	// maxDurables is how many durable consumers a guest may have.
	maxDurables = 20
	// maxOrganizationDurables is how many all guests of one organization may
	// have.
	maxOrganizationDurables = 200
	// durableIdle is how long a durable consumer lives without a pull.
	durableIdle = 30 * 24 * time.Hour
	// maxUnacked and maxPulls limit the memory of one consumer. Clients ask for
	// more by default, so larger values are reduced to these.
	maxUnacked = 10_000
	maxPulls   = 512

	// Metadata of a guest's consumer: its guest, and the guest's name for it.
	metaGuest = "headwater.guest"
	metaName  = "headwater.name"

	// maxSubject is the length of a subject token that a guest may choose, in
	// bytes.
	maxSubject = 255
)

var (
	errNoConsumer = errors.New("consumer not found")
	consumerName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// consumerRequest is what a subscriber may ask for. Any other field is refused,
// so that options of a newer server stay unavailable until they are reviewed.
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

// create creates a consumer, or changes one of the guest's own. rest is the
// consumer's name and perhaps its filter, from the subject; both may be missing.
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
		// Without an action the request could change somebody else's consumer.
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

// order asks the broker to create the consumer. Its first deliveries may have to
// be acked before the broker's answer arrives, so the name is mapped first.
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
	// Older calls give the name only in the body, or leave it to the broker.
	name = cmp.Or(name, c.Name, c.Durable, rand.Text())
	c.Name = cmp.Or(c.Name, name)
	if c.PauseUntil != nil && c.PauseUntil.IsZero() {
		c.PauseUntil = nil // the nats CLI always sends one
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

// narrow checks the filters. Without a filter, or with ">", a consumer reads
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

// newName returns the name on the stream for a new consumer.
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
	// The part after the random one is for people and for nats.go's ordered
	// consumer, which numbers its consumers in their names and reads the number
	// back.
	return rand.Text() + "-" + c.Name, nil
}

// bound limits a consumer's life: a durable one is on disk and ends 30 days
// after the last pull; any other is in memory and ends after minutes.
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
