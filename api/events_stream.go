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

// streamRate is how slowly a client may take a large event, in bytes a second.
const streamRate = 64 << 10

// stream writes the events that the query means, those of the past and then
// each as it happens, as server-sent events. It ends when the client leaves or
// is too slow, when the token is no longer valid, and when the node drains; the
// client goes on elsewhere with the id of the last event it got.
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

// tokenRevoked is why a stream ends whose token was revoked.
const tokenRevoked = "the token was revoked"

// run writes until the stream ends, and returns why, for the client.
func (h *Handler) run(ctx context.Context, r *request, q eventQuery, s *eventStream, messages <-chan *message.Message) string {
	beat := time.NewTicker(h.Options.Heartbeat)
	defer beat.Stop()
	expiry := time.NewTimer(time.Until(r.caller.Expires))
	defer expiry.Stop()
	var revoked <-chan struct{} // nil for a token that nobody can revoke
	if r.caller.TokenID() != "" {
		revoked = h.Reads.WatchSource(ctx, r.caller.Token)
		if !r.valid(h.Auth) { // before somebody watched
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
				// What is ready already goes out together.
				taken, full := h.deliver(r, s, item)
				if full {
					return "the organization has too much that its clients have not read yet"
				}
				if !taken || len(messages) == 0 && !s.flush() {
					return ""
				}
			}
		case <-beat.C:
			// A key may have been exchanged meanwhile.
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
			expiry.Reset(time.Second) // the clocks' difference is forgiven
		case <-h.draining:
			return "the node is shutting down"
		case <-ctx.Done():
			return ""
		}
	}
}

// deliver writes one event, of which a large one counts as unread by its
// organization until the client took it. full reports that there is too much of
// that; the client goes on behind the last event that it got.
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

// valid reports whether the request's token still is.
func (r *request) valid(a *auth.Authenticator) bool {
	_, token, _ := strings.Cut(r.http.Header.Get("Authorization"), " ")
	_, err := a.Verify(strings.TrimSpace(token))
	return err == nil
}

// eventStream writes server-sent events. Nothing is kept for a client that does
// not read: a write that takes too long fails, and with it the stream.
type eventStream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	buffer   bytes.Buffer
}

func newEventStream(w http.ResponseWriter, patience time.Duration) *eventStream {
	return &eventStream{w: w, control: http.NewResponseController(w), patience: patience}
}

// begin writes the head, so that the client knows that it is connected.
func (s *eventStream) begin(sequence uint64) {
	header := s.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // of proxies
	header.Set(headerSequence, strconv.FormatUint(sequence, 10))
	_ = s.control.SetReadDeadline(time.Time{}) // only the client's leaving is read
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

// comment writes what programs ignore: a sign of life.
func (s *eventStream) comment(text string) bool {
	s.buffer.WriteString(": " + text + "\n\n")
	return s.write() && s.flush()
}

// bye ends the stream and says why to whoever still listens.
func (s *eventStream) bye(why string) {
	if why != "" {
		s.comment(why)
	}
}

// write sends the buffer and reports whether the client took it.
func (s *eventStream) write() bool {
	allowed := s.patience + time.Duration(s.buffer.Len())*time.Second/streamRate
	_ = s.control.SetWriteDeadline(time.Now().Add(allowed)) // not every ResponseWriter has one; a server's has
	_, err := s.w.Write(s.buffer.Bytes())
	s.buffer.Reset()
	return err == nil
}

func (s *eventStream) flush() bool { return s.control.Flush() == nil }
