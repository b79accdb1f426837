// Package guests lets strangers on the bus: subscribers with a token, who read the
// events that it grants and manage consumers of their own, and nothing else. It is
// the security boundary between them and commands, secrets and each other.
package guests

import (
	"strings"
	"time"

	"headwater/bus/event"
)

// Grant is what a subscriber's token allows.
type Grant struct {
	// Subscribe are the event subject filters it may read. Anything that does
	// not lie below event.SubjectPrefix is refused.
	Subscribe []string
	// Inbox is what the bearer's answers begin with on an external cluster, such
	// as "_INBOX.acme.ada"; nobody else's may begin so.
	Inbox string
	// Expires ends the connection at that time; the zero time does not.
	Expires time.Time
	// ID names a token that can be revoked, for Authenticator.Disconnect; "" for one
	// that cannot.
	ID string
}

// SubjectLive begins where the broker publishes an event once more when it is
// stored: without the inbox of its writer, and only what is in the log. Guests of
// the embedded broker get their live events from there.
const SubjectLive = "headwater.live"

// subjectPush begins where guests' push consumers deliver to.
const subjectPush = "headwater.push"

// live returns the filter of the live events that a filter of events means.
func live(filter string) string {
	return SubjectLive + strings.TrimPrefix(filter, event.SubjectPrefix)
}
