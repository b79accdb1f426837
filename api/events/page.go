package events

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/api/call"
	"headwater/api/quota"
	"headwater/api/web"
)

// pageEvents is the number of events on a page whose request gives no limit.
const pageEvents = 100

// PageBytes is the size in bytes at which a page ends, even below its limit.
const PageBytes = 8 << 20

// Events answers with one page of events, or with an endless stream.
func (c *Calls) Events(ctx context.Context, r *call.Request) (*web.Answer, error) {
	stream := r.HTTP.Method == http.MethodGet && wantsStream(r.HTTP.Header)
	q, err := c.query(ctx, r, stream)
	if err != nil {
		return nil, err
	}
	if stream {
		return nil, c.stream(ctx, r, q)
	}
	return c.page(ctx, r, q)
}

// page answers with events that are in the log now. It does not wait for
// new ones.
func (c *Calls) page(ctx context.Context, r *call.Request, q query) (*web.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Limits.PageWait)
	defer cancel()
	err := r.Hold(&c.pages, 1, func(p *quota.Share) *web.Failure {
		return web.Fail(http.StatusTooManyRequests, "too_many_pages", "%s %d pages of events under way already; read them one after the other", p.Whom, p.Most).Later(time.Second)
	}, r.OfOrganization(int64(c.Limits.MaxPages)))
	if err != nil {
		return nil, err
	}
	leave, err := c.making.Enter(ctx, r.Caller.Organization)
	if err != nil {
		return nil, Unreadable(err)
	}
	defer leave()
	end, err := c.pageEnd(ctx, q)
	if err != nil {
		return nil, err
	}
	p := page{limit: r.Limit()}
	if p.limit == 0 {
		p.limit = pageEvents
	}
	// Reading the log takes longest; each organization has its share of that.
	err = c.History.Past(ctx, q.after, end, q.filters, func(msg *message.Message) bool {
		_, item := c.logged(msg, q)
		return item == nil || p.add(item)
	})
	if err != nil {
		return nil, Unreadable(err)
	}
	position, next := max(q.last, end), ""
	if p.cut {
		position, next = p.position, strconv.FormatUint(p.position, 10)
	}
	a, err := web.Compose(http.StatusOK, "success", web.Count(p.count, "event"), web.Raw("["+p.items.String()+"]"), next, nil)
	if err != nil {
		return nil, err
	}
	a.Header.Set(call.HeaderSequence, strconv.FormatUint(position, 10))
	r.LinkNext(a, next)
	return a, nil
}

// pageEnd returns the sequence up to which a page has to read to see all events
// of the query.
func (c *Calls) pageEnd(ctx context.Context, q query) (uint64, error) {
	end, err := c.History.NewestOf(ctx, q.filters...)
	if err != nil {
		return 0, Unreadable(err)
	}
	if q.until.IsZero() {
		return end, nil
	}
	// Only the read model maps times to sequences, and it has to have caught up.
	if err := call.Reach(ctx, c.Model, c.Limits.MinSequenceWait, q.last); err != nil {
		return 0, err
	}
	bound, err := c.Model.SequenceAt(q.until)
	return min(end, bound), err
}

// page collects the events of one page.
type page struct {
	items    bytes.Buffer
	count    int
	limit    int
	position uint64 // sequence of the last event
	cut      bool   // the page is full and further events exist
}

// add appends an event, or returns false if the page is full.
func (p *page) add(item *logged) bool {
	if p.count == p.limit || p.count > 0 && p.items.Len() >= PageBytes {
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
func (c *Calls) follow(ctx context.Context, q query, take func(<-chan *message.Message) error) error {
	ctx, cancel := context.WithCancel(ctx)
	messages, err := c.History.Follow(q.after).Subscribe(ctx, strings.Join(q.filters, ","))
	if err != nil {
		cancel()
		return Unreadable(err)
	}
	defer func() {
		cancel()
		for range messages { // the reader closes the channel when it ends
		}
	}()
	return take(messages)
}

// Unreadable returns the 503 for a log that cannot be read now.
func Unreadable(err error) error {
	return web.Fail(http.StatusServiceUnavailable, "unavailable", "The log cannot be read now; try again").Later(2 * time.Second).Because(err)
}
