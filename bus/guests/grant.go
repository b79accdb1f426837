// Package guests admits strangers to the bus: subscribers with a token, who may
// read the events that it grants and manage consumers of their own, and nothing
// else. It is the security boundary between them and commands, secrets and each
// other.
package guests

import (
	"strings"
	"time"

	"headwater/bus/event"
)

// Grant is what a subscriber's token permits.
type Grant struct {
	// Subscribe are the filters of the event subjects that it may read. A filter
	// outside event.SubjectPrefix is refused.
	Subscribe []string
	// Inbox is the prefix of the bearer's reply subjects on an external cluster,
	// such as "_INBOX.acme.ada". No other grant may have a prefix that begins
	// with it.
	Inbox string
	// Expires is when the connection ends; the zero time means never.
	Expires time.Time
	// ID identifies a token that can be revoked, for Authenticator.Disconnect;
	// "" for any other token.
	ID string
}

// SubjectLive is the prefix of the subjects on which the broker republishes each
// event when it is stored, without the writer's reply subject. The embedded
// broker's guests get live events from there.
const SubjectLive = "headwater.live"

// subjectPush is the prefix of the subjects to which guests' push consumers
// deliver.
const subjectPush = "headwater.push"

// live returns the filter of live events that corresponds to a filter of events.
func live(filter string) string {
	return SubjectLive + strings.TrimPrefix(filter, event.SubjectPrefix)
}
