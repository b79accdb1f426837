package bus

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"
	"time"
)

// What subscribers name and are bounded by, as they know it from outside.
const (
	api         = "$JS.API."
	apiConsumer = "$JS.API.CONSUMER."
	apiNext     = "$JS.API.CONSUMER.MSG.NEXT.HEADWATER_EVENTS"
	apiAck      = "$JS.ACK.HEADWATER_EVENTS"
	apiFlow     = "$JS.FC.HEADWATER_EVENTS"
	gateSubject = "headwater.gate"
	subjectPush = "headwater.push"
	metaGuest   = "headwater.guest"

	maxConnections = 64
	maxDurables    = 20
	maxUnacked     = 10_000
	maxPulls       = 512
	durableIdle    = 30 * 24 * time.Hour
	guestWindow    = 5 * time.Minute
)

// consumerRequest is a call that makes a consumer, as clients write it.
type consumerRequest struct {
	Stream string         `json:"stream_name"`
	Config consumerConfig `json:"config"`
	Action string         `json:"action,omitempty"`
}

type consumerConfig struct {
	Name           string            `json:"name,omitempty"`
	DeliverPolicy  string            `json:"deliver_policy,omitempty"`
	AckPolicy      string            `json:"ack_policy,omitempty"`
	ReplayPolicy   string            `json:"replay_policy,omitempty"`
	FilterSubject  string            `json:"filter_subject,omitempty"`
	FilterSubjects []string          `json:"filter_subjects,omitempty"`
	DeliverSubject string            `json:"deliver_subject,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"`
}

// guestName is the name of everybody with these filters, sorted: consumers that
// are on the stream carry it, so it never changes.
func guestName(filters []string) string {
	sum := sha256.Sum256([]byte(strings.Join(filters, "\n")))
	return "guest-" + hex.EncodeToString(sum[:16])
}

// durableSuffix ends the names of a guest's durables on a cluster with this issuer.
// It never changes either.
func durableSuffix(seed []byte, guest string) string {
	secret := hmac.New(sha256.New, seed)
	secret.Write([]byte("headwater durable names"))
	mac := hmac.New(sha256.New, secret.Sum(nil))
	mac.Write([]byte(guest))
	return "-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:15]))
}
