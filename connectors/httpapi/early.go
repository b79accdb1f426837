package httpapi

import (
	"context"
	"net/url"
	"strconv"
)

// defaultRequests are under way at once where pages are known beforehand.
const defaultRequests = 3

// early is a request that may be made before earlier answers were looked at.
type early struct {
	url    *url.URL
	cancel context.CancelFunc
	done   chan struct{}
	answer *answer
	err    error
}

// get returns the answer to p.url, and requests the pages after it if it is certain that
// they exist.
func (p *pager) get(ctx context.Context) (*answer, error) {
	if len(p.early) > 0 && p.early[0].url.String() != p.url.String() {
		p.stop()
	}
	if len(p.early) == 0 {
		p.ask(ctx, p.url)
	}
	p.foresee(ctx, 0)
	e := p.early[0]
	<-e.done
	e.cancel()
	p.early = p.early[1:]
	if e.err != nil {
		return nil, e.err
	}
	p.foresee(ctx, 1)
	return e.answer, nil
}

// ask makes a request in the background.
func (p *pager) ask(ctx context.Context, u *url.URL) {
	ctx, cancel := context.WithCancel(ctx)
	e := &early{url: u, cancel: cancel, done: make(chan struct{})}
	p.early = append(p.early, e)
	q := p.asked(u)
	go func() {
		defer close(e.done)
		e.answer, e.err = p.s.get(ctx, q)
	}()
}

// foresee requests pages after the one at p.url until as many requests are under way as
// allowed. taken is how many pages from p.url on are not among them any more.
func (p *pager) foresee(ctx context.Context, taken int) {
	for len(p.early) < p.s.atOnce() {
		next := p.foreseen(int64(len(p.early) + taken))
		if next == nil {
			return
		}
		p.ask(ctx, next)
	}
}

// foreseen returns the URL of the page that is that many steps after p.url, nil if pages
// are not numbered, if the API has not said that there is such a page, or if a sample
// does not need it. An API is never asked for a page that it may not have.
func (p *pager) foreseen(steps int64) *url.URL {
	size := int64(p.last.records)
	if p.count == 0 || size == 0 || int64(p.count)+1+steps > int64(p.s.maxPages) || p.sample > 0 && p.seen+size*steps >= p.sample {
		return nil
	}
	after := p.at + steps
	switch {
	case p.mode == "offset":
		after = p.at + p.step*steps
		if p.total < after+1 {
			return nil
		}
	case p.mode != "page", p.pages < after+1 && p.total <= p.seen+size*steps:
		// The number of pages of an API that counts them from 0 is one more than
		// that of its last.
		return nil
	}
	return with(p.first, p.param, strconv.FormatInt(after, 10))
}

// atOnce returns how many requests may be under way. For an API that has asked to wait
// it is one from then on.
func (s *source) atOnce() int {
	if s.throttled.Load() {
		return 1
	}
	return s.requests
}

// stop ends requests whose answers nobody waits for. It is safe to call twice.
func (p *pager) stop() {
	for _, e := range p.early {
		e.cancel()
	}
	for _, e := range p.early {
		<-e.done
	}
	p.early = nil
}
