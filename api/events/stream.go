package events

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/quota"
	"headwater/api/web"
)

// stream sends past events of the query and then new ones as server-sent events.
// It ends when the client disconnects or reads too slowly, when the token is no
// longer valid, and when the node shuts down. The client can resume on any node
// with the id of the last event it received.
func (c *Calls) stream(ctx context.Context, r *call.Request, q query) error {
	shares := c.streamShares(r)
	if full := c.streams.Enter(1, shares...); full != nil {
		return web.Fail(http.StatusTooManyRequests, "too_many_streams",
			"%s %d event streams open already; close one, or read pages", full.Whom, full.Most).Later(5 * time.Second)
	}
	defer c.streams.Leave(1, shares...)
	return c.follow(ctx, q, func(messages <-chan *message.Message) error {
		s := newStream(r.Writer, c.Limits.StreamWrite)
		s.begin(q.last)
		s.bye(c.run(ctx, r, q, s, messages))
		return nil
	})
}

// tokenRevoked is the reason given when a stream ends because its token was
// revoked.
const tokenRevoked = "the token was revoked"

// run sends events until the stream ends, and returns the reason to give the
// client, or "" for none.
func (c *Calls) run(ctx context.Context, r *call.Request, q query, s *stream, messages <-chan *message.Message) string {
	beat := time.NewTicker(c.Limits.Heartbeat)
	defer beat.Stop()
	expiry := time.NewTimer(time.Until(r.Caller.Expires))
	defer expiry.Stop()
	var revoked <-chan struct{} // nil for a token that cannot be revoked
	if r.Caller.TokenID() != "" {
		revoked = c.Model.WatchSource(ctx, r.Caller.Token)
		if !valid(r, c.Auth) { // it may have been revoked before WatchSource
			return tokenRevoked
		}
	}
	for {
		select {
		case msg, open := <-messages:
			if !open {
				return "the log cannot be read now"
			}
			if _, item := c.logged(msg, q); item != nil {
				// Events that are ready are flushed together.
				taken, full := c.deliver(r, s, item)
				if full {
					return "the organization has too much that its clients have not read yet"
				}
				if !taken || len(messages) == 0 && !s.flush() {
					return ""
				}
			}
		case <-beat.C:
			// The key that signed the token may have been replaced.
			if !valid(r, c.Auth) {
				return "the token is no longer valid"
			}
			if !s.comment("") {
				return ""
			}
		case <-revoked:
			if !valid(r, c.Auth) {
				return tokenRevoked
			}
		case <-expiry.C:
			if !valid(r, c.Auth) {
				return "the token has expired"
			}
			expiry.Reset(time.Second) // Verify tolerates some difference between clocks
		case <-c.Draining:
			return "the node is shutting down"
		case <-ctx.Done():
			return ""
		}
	}
}

// deliver sends one event. A large event counts against the organization's share
// of unread bytes while it is being sent. full means that the share is used up;
// the client can resume after the last event it received.
func (c *Calls) deliver(r *call.Request, s *stream, item *logged) (taken, full bool) {
	if n := int64(len(item.json)); n > call.SmallAnswer {
		share := r.OfOrganization(c.Limits.MaxUnread)
		if c.Unread.Enter(n, share) != nil {
			return false, true
		}
		defer c.Unread.Leave(n, share)
	}
	return s.event(item), false
}

// valid reports whether the request's token is still valid.
func valid(r *call.Request, a *auth.Authenticator) bool {
	_, token, _ := strings.Cut(r.HTTP.Header.Get("Authorization"), " ")
	_, err := a.Verify(strings.TrimSpace(token))
	return err == nil
}

// streamShares are the shares that each event stream takes one of.
func (c *Calls) streamShares(r *call.Request) []quota.Share {
	most := c.Limits.MaxStreams
	return []quota.Share{r.OfUser(most), r.OfWorkspace(4 * most), r.OfOrganization(16 * int64(most))}
}
