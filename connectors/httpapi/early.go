package httpapi

import (
	"context"
	"net/url"
	"strconv"
)

// early is a request that was made before the answer to the one before it was
// looked at.
type early struct {
	url    *url.URL
	cancel context.CancelFunc
	done   chan struct{}
	answer *answer
	err    error
}

// get requests the page at p.url, or takes the answer if it was asked for early,
// and asks for the page after it where it is sure that there is one.
func (p *pager) get(ctx context.Context) (*answer, error) {
	var a *answer
	var err error
	if e := p.early; e != nil && e.url.String() == p.url.String() {
		p.early = nil
		<-e.done
		e.cancel()
		a, err = e.answer, e.err
	} else {
		p.stop()
		a, err = p.s.get(ctx, p.url, p.count > 0)
	}
	if err != nil {
		return nil, err
	}
	if next := p.foreseen(); next != nil {
		limited, cancel := context.WithCancel(ctx)
		e := &early{url: next, cancel: cancel, done: make(chan struct{})}
		p.early = e
		go func() {
			defer close(e.done)
			e.answer, e.err = p.s.get(limited, next, true)
		}()
	}
	return a, nil
}

// foreseen returns the URL of the page after the one at p.url, if pages are
// numbered and what the API said before means that there is one: an API is never
// asked for pages that it may not have. It is nil else.
func (p *pager) foreseen() *url.URL {
	if p.count == 0 || p.count+2 > p.s.maxPages {
		return nil
	}
	size := int64(p.last.records)
	after := p.at + 1
	switch {
	case p.mode == "offset":
		after = p.at + size
		if p.total < after+1 {
			return nil
		}
	case p.mode != "page", p.pages < after+1 && p.total <= p.seen+size:
		// The number of pages of an API that counts them from 0 is one more than
		// that of its last.
		return nil
	}
	return with(p.url, p.param, strconv.FormatInt(after, 10))
}

// stop ends a request that nobody waits for any more. It is safe to call twice.
func (p *pager) stop() {
	if e := p.early; e != nil {
		p.early = nil
		e.cancel()
		<-e.done
	}
}
