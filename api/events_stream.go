package api

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/api/auth"
	"headwater/api/web"
)

// streamRate is the slowest rate at which a client may read a large event, in
// bytes per second.
const streamRate = 64 << 10

// stream sends past events of the query and then new ones as server-sent events.
// It ends when the client disconnects or reads too slowly, when the token is no
// longer valid, and when the node shuts down. The client can resume on any node
// with the id of the last event it received.
func (h *Handler) stream(ctx context.Context, r *request, q eventQuery) error {
	shares := h.streamShares(r)
	if full := h.streams.Enter(1, shares...); full != nil {
		return web.Fail(http.StatusTooManyRequests, "too_many_streams",
			"%s %d event streams open already; close one, or read pages", full.Whom, full.Most).Later(5 * time.Second)
	}
	defer h.streams.Leave(1, shares...)
	return h.follow(ctx, q, func(messages <-chan *message.Message) error {
		s := newEventStream(r.writer, h.Options.StreamWrite)
		s.begin(q.last)
		s.bye(h.run(ctx, r, q, s, messages))
		return nil
	})
}

// tokenRevoked is the reason given when a stream ends because its token was
// revoked.
const tokenRevoked = "the token was revoked"

// run sends events until the stream ends, and returns the reason to give the
// client, or "" for none.
func (h *Handler) run(ctx context.Context, r *request, q eventQuery, s *eventStream, messages <-chan *message.Message) string {
	beat := time.NewTicker(h.Options.Heartbeat)
	defer beat.Stop()
	expiry := time.NewTimer(time.Until(r.caller.Expires))
	defer expiry.Stop()
	var revoked <-chan struct{} // nil for a token that cannot be revoked
	if r.caller.TokenID() != "" {
		revoked = h.Reads.WatchSource(ctx, r.caller.Token)
		if !r.valid(h.Auth) { // it may have been revoked before WatchSource
			return tokenRevoked
		}
	}
	for {
		select {
		case msg, open := <-messages:
			if !open {
				return "the log cannot be read now"
			}
			if _, item := h.logged(msg, q); item != nil {
				// Events that are ready are flushed together.
				taken, full := h.deliver(r, s, item)
				if full {
					return "the organization has too much that its clients have not read yet"
				}
				if !taken || len(messages) == 0 && !s.flush() {
					return ""
				}
			}
		case <-beat.C:
			// The key that signed the token may have been replaced.
			if !r.valid(h.Auth) {
				return "the token is no longer valid"
			}
			if !s.comment("") {
				return ""
			}
		case <-revoked:
			if !r.valid(h.Auth) {
				return tokenRevoked
			}
		case <-expiry.C:
			if !r.valid(h.Auth) {
				return "the token has expired"
			}
			expiry.Reset(time.Second) // Verify tolerates some difference between clocks
		case <-h.draining:
			return "the node is shutting down"
		case <-ctx.Done():
			return ""
		}
	}
}

// deliver sends one event. A large event counts against the organization's share
// of unread bytes while it is being sent. full means that the share is used up;
// the client can resume after the last event it received.
func (h *Handler) deliver(r *request, s *eventStream, item *logged) (taken, full bool) {
	if n := int64(len(item.json)); n > smallAnswer {
		share := r.ofOrganization(h.Options.MaxUnread)
		if h.unread.Enter(n, share) != nil {
			return false, true
		}
		defer h.unread.Leave(n, share)
	}
	return s.event(item), false
}

// valid reports whether the request's token is still valid.
func (r *request) valid(a *auth.Authenticator) bool {
	_, token, _ := strings.Cut(r.http.Header.Get("Authorization"), " ")
	_, err := a.Verify(strings.TrimSpace(token))
	return err == nil
}

// eventStream writes server-sent events (WHATWG HTML, section 9.2). It buffers
// nothing for a slow client: a write that exceeds its deadline fails and ends
// the stream.
type eventStream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	buffer   bytes.Buffer
}

func newEventStream(w http.ResponseWriter, patience time.Duration) *eventStream {
	return &eventStream{w: w, control: http.NewResponseController(w), patience: patience}
}

// begin sends the header, so that the client knows it is connected.
func (s *eventStream) begin(sequence uint64) {
	header := s.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // tells proxies not to buffer
	header.Set(headerSequence, strconv.FormatUint(sequence, 10))
	_ = s.control.SetReadDeadline(time.Time{}) // nothing is read any more but the client's disconnect
	s.w.WriteHeader(http.StatusOK)
	s.buffer.WriteString("retry: 1000\n\n")
	if s.write() {
		s.flush()
	}
}

func (s *eventStream) event(item *logged) bool {
	s.buffer.WriteString("id: " + strconv.FormatUint(item.sequence, 10) + "\nevent: " + item.name + "\ndata: ")
	s.buffer.Write(item.json)
	s.buffer.WriteString("\n\n")
	return s.write()
}

// comment sends a comment, which clients ignore, to keep the connection open. It
// returns false if the client did not read it.
func (s *eventStream) comment(text string) bool {
	s.buffer.WriteString(": " + text + "\n\n")
	return s.write() && s.flush()
}

// bye ends the stream with the reason as a comment.
func (s *eventStream) bye(why string) {
	if why != "" {
		s.comment(why)
	}
}

// write sends the buffer and reports whether the client read it.
func (s *eventStream) write() bool {
	allowed := s.patience + time.Duration(s.buffer.Len())*time.Second/streamRate
	_ = s.control.SetWriteDeadline(time.Now().Add(allowed)) // a ResponseWriter outside a server may have no deadlines
	_, err := s.w.Write(s.buffer.Bytes())
	s.buffer.Reset()
	return err == nil
}

func (s *eventStream) flush() bool { return s.control.Flush() == nil }
