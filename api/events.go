package api

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/api/quota"
	"headwater/api/web"
)

const (
	pageEvents = 100     // on a page whose request gives no limit
	pageBytes  = 8 << 20 // a page ends after this many bytes, even below its limit
)

// events answers with one page of events, or with an endless stream.
func (h *Handler) events(ctx context.Context, r *request) (*web.Answer, error) {
	stream := r.http.Method == http.MethodGet && wantsStream(r.http.Header)
	q, err := h.eventQuery(ctx, r, stream)
	if err != nil {
		return nil, err
	}
	if stream {
		return nil, h.stream(ctx, r, q)
	}
	return h.eventPage(ctx, r, q)
}

// eventPage answers with events that are in the log now. It does not wait for
// new ones.
func (h *Handler) eventPage(ctx context.Context, r *request, q eventQuery) (*web.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, h.Options.PageWait)
	defer cancel()
	err := r.hold(&h.pages, 1, func(p *quota.Share) *web.Failure {
		return web.Fail(http.StatusTooManyRequests, "too_many_pages", "%s %d pages of events under way already; read them one after the other", p.Whom, p.Most).Later(time.Second)
	}, r.ofOrganization(int64(h.Options.MaxPages)))
	if err != nil {
		return nil, err
	}
	leave, err := h.making.Enter(ctx, r.caller.Organization)
	if err != nil {
		return nil, unreadable(err)
	}
	defer leave()
	end, err := h.pageEnd(ctx, q)
	if err != nil {
		return nil, err
	}
	p := eventPage{limit: r.limit()}
	if p.limit == 0 {
		p.limit = pageEvents
	}
	// Reading the log takes longest; each organization has its share of that.
	err = h.History.Past(ctx, q.after, end, q.filters, func(msg *message.Message) bool {
		_, item := h.logged(msg, q)
		return item == nil || p.add(item)
	})
	if err != nil {
		return nil, unreadable(err)
	}
	position, next := max(q.last, end), ""
	if p.cut {
		position, next = p.position, strconv.FormatUint(p.position, 10)
	}
	a, err := web.Compose(http.StatusOK, "success", web.Count(p.count, "event"), web.Raw("["+p.items.String()+"]"), next, nil)
	if err != nil {
		return nil, err
	}
	a.Header.Set(headerSequence, strconv.FormatUint(position, 10))
	r.linkNext(a, next)
	return a, nil
}

// pageEnd returns the sequence up to which a page has to read to see all events
// of the query.
func (h *Handler) pageEnd(ctx context.Context, q eventQuery) (uint64, error) {
	end, err := h.History.NewestOf(ctx, q.filters...)
	if err != nil {
		return 0, unreadable(err)
	}
	if q.until.IsZero() {
		return end, nil
	}
	// Only the read model maps times to sequences, and it has to have caught up.
	if err := h.reach(ctx, q.last); err != nil {
		return 0, err
	}
	bound, err := h.Reads.SequenceAt(q.until)
	return min(end, bound), err
}

// eventPage collects the events of one page.
type eventPage struct {
	items    bytes.Buffer
	count    int
	limit    int
	position uint64 // sequence of the last event
	cut      bool   // the page is full and further events exist
}

// add appends an event, or returns false if the page is full.
func (p *eventPage) add(item *logged) bool {
	if p.count == p.limit || p.count > 0 && p.items.Len() >= pageBytes {
		p.cut = true
		return false
	}
	if p.count++; p.count > 1 {
		p.items.WriteByte(',')
	}
	p.items.Write(item.json)
	p.position = item.sequence
	return true
}

// follow subscribes to the events of the query and passes the channel to take.
// The subscription has ended when follow returns.
func (h *Handler) follow(ctx context.Context, q eventQuery, take func(<-chan *message.Message) error) error {
	ctx, cancel := context.WithCancel(ctx)
	messages, err := h.History.Follow(q.after).Subscribe(ctx, strings.Join(q.filters, ","))
	if err != nil {
		cancel()
		return unreadable(err)
	}
	defer func() {
		cancel()
		for range messages { // the reader closes the channel when it ends
		}
	}()
	return take(messages)
}

// reach waits until the read model has caught up with that sequence. Otherwise
// it returns a 503.
func (h *Handler) reach(ctx context.Context, sequence uint64) error {
	ctx, cancel := context.WithTimeout(ctx, h.Options.MinSequenceWait)
	defer cancel()
	if err := h.Reads.Wait(ctx, sequence); err != nil {
		return web.Fail(http.StatusServiceUnavailable, "behind", "This node has not reached that part of the log yet; try again").Later(time.Second).Because(err)
	}
	return nil
}

func unreadable(err error) error {
	return web.Fail(http.StatusServiceUnavailable, "unavailable", "The log cannot be read now; try again").Later(2 * time.Second).Because(err)
}
