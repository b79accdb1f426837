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
	pageEvents = 100     // of a page of events without a limit
	pageBytes  = 8 << 20 // with which a page of events is full before its limit
)

// events answers what happened: one page, or a stream without end.
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

// eventPage answers what is in the log now, and waits for nothing that is not.
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
	// What takes long is the log's part, of which an organization has its share.
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

// pageEnd returns the sequence at which a page has seen everything that its
// query means.
func (h *Handler) pageEnd(ctx context.Context, q eventQuery) (uint64, error) {
	end, err := h.History.NewestOf(ctx, q.filters...)
	if err != nil {
		return 0, unreadable(err)
	}
	if q.until.IsZero() {
		return end, nil
	}
	// Times are the projection's, which must know them all.
	if err := h.reach(ctx, q.last); err != nil {
		return 0, err
	}
	bound, err := h.Reads.SequenceAt(q.until)
	return min(end, bound), err
}

// eventPage collects the items of one page.
type eventPage struct {
	items    bytes.Buffer
	count    int
	limit    int
	position uint64 // of the last item
	cut      bool   // there is more than fits
}

// add takes one more item, or reports that the page is full.
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

// follow subscribes to what the query means and gives it to take. When it
// returns, nothing of the subscription is left.
func (h *Handler) follow(ctx context.Context, q eventQuery, take func(<-chan *message.Message) error) error {
	ctx, cancel := context.WithCancel(ctx)
	messages, err := h.History.Follow(q.after).Subscribe(ctx, strings.Join(q.filters, ","))
	if err != nil {
		cancel()
		return unreadable(err)
	}
	defer func() {
		cancel()
		for range messages { // closed when the reader has ended
		}
	}()
	return take(messages)
}

// reach waits until the projection knows that much of the log.
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
