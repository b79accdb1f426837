package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// advance finds the way to the page after pg.
func (p *pager) advance(a *answer, g signs, pg page) error {
	c := p.s.settings.Pagination
	if c.NextField != "" {
		raw := records.Field(a.body, strings.Split(c.NextField, ".")...)
		if g.next = ""; len(raw) > 0 && !empty(raw) {
			g.next = string(records.Unquote(raw))
		}
	}
	if c.CursorField != "" {
		raw := records.Field(a.body, strings.Split(c.CursorField, ".")...)
		if g.cursor = ""; len(raw) > 0 && !empty(raw) {
			g.cursor = string(records.Unquote(raw))
		}
	}
	switch p.mode {
	case "":
		return p.choose(a, g, pg)
	case "none":
		p.done = true
	case "link":
		next, _ := nextLink(a.header)
		return p.follow(a.url, next)
	case "next_url":
		return p.follow(a.url, g.next)
	case "cursor":
		return p.cursor(g)
	case "after":
		if g.ended || pg.records == 0 {
			p.done = true
			return nil
		}
		return p.after(pg)
	default:
		return p.numbered(g, pg)
	}
	return nil
}

// choose picks the mode by the first answer.
func (p *pager) choose(a *answer, g signs, pg page) error {
	next, linked := nextLink(a.header)
	switch {
	case next != "":
		p.mode = "link"
		return p.follow(a.url, next)
	case g.next != "":
		p.mode = "next_url"
		return p.follow(a.url, g.next)
	case linked, pg.single, pg.records == 0 && g.cursor == "":
		p.done = true
	case g.ended && !g.more, p.total >= 0 && p.seen >= p.total && g.cursor == "":
		p.done = true
	case g.cursor != "":
		p.mode = "cursor"
		return p.cursor(g)
	case g.pages >= 0 || g.page >= 0 && (g.more || p.total > p.seen):
		p.mode, p.param, p.at = "page", orElse(orElse(p.s.settings.Pagination.PageParam, g.pageParam), "page"), max(int64(g.page), 0)
		if g.page < 0 {
			p.at = 1
		}
		// Pages counted from 0 have their last one before the number of pages.
		if first := int64(g.page); g.pages >= 0 && (first == 0 && g.pages <= 1 || first != 0 && p.at >= int64(g.pages)) {
			p.done = true
			return nil
		}
		p.turn(p.at + 1)
	case g.offset == 0 || g.offset == 1:
		p.mode, p.param, p.at = "offset", orElse(p.s.settings.Pagination.OffsetParam, g.offsetParam), g.offset
		p.turn(p.at + int64(pg.records))
	case g.more:
		p.mode = "after"
		return p.after(pg)
	default:
		p.mode = "probe"
	}
	return nil
}

// follow goes to the URL of the next page, which must be on the same host.
func (p *pager) follow(from *url.URL, next string) error {
	if next == "" {
		p.done = true
		return nil
	}
	u, err := from.Parse(next)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return driver.E(driver.ErrBadData, nil, "%s gives a next page that is no URL; set pagination", where(p.e.url))
	}
	u.User, u.Fragment = nil, ""
	if !sameHost(p.e.url, u) {
		// APIs behind a proxy that ends TLS often write http into their links.
		if !strings.EqualFold(u.Hostname(), p.e.url.Hostname()) || u.Scheme != "http" || p.e.url.Scheme != "https" {
			return driver.E(driver.ErrPermission, nil, "%s has its next page on another host (%s), which would get the credentials; if that is right, set base_url to it", where(p.e.url), u.Host)
		}
		u.Scheme, u.Host = p.e.url.Scheme, p.e.url.Host
	}
	return p.to(u)
}

// to goes to a URL that was not read before.
func (p *pager) to(u *url.URL) error {
	if p.urls[u.String()] {
		return driver.E(driver.ErrBadData, nil, "%s gives pages in circles: page %d leads back to an earlier one; set pagination", where(p.e.url), p.count)
	}
	p.url = u
	return nil
}

func (p *pager) cursor(g signs) error {
	if g.cursor == "" || g.ended && !g.more && p.s.settings.Pagination.CursorField == "" {
		p.done = true
		return nil
	}
	p.param = orElse(orElse(orElse(p.s.settings.Pagination.CursorParam, g.cursorParam), p.param), "cursor")
	return p.to(with(p.url, p.param, g.cursor))
}

// after asks for what comes after the last record's id.
func (p *pager) after(pg page) error {
	var id []byte
	for element := range pg.elements() {
		id = records.Field(element, "id")
	}
	if len(id) == 0 || id[0] == '{' || id[0] == '[' || empty(id) {
		return driver.E(driver.ErrBadData, nil, "%s says that there are more pages, but not how to get them; set pagination", where(p.e.url))
	}
	p.param = "starting_after"
	return p.to(with(p.url, p.param, string(bytes.Clone(records.Unquote(id)))))
}

// numbered goes on by page number or offset.
func (p *pager) numbered(g signs, pg page) error {
	step := int64(1)
	if p.mode == "offset" {
		step = int64(pg.records)
	}
	now := p.at
	if g.page > 0 {
		now = int64(g.page)
	}
	lastPage := p.mode == "page" && g.pages >= 0 && (now >= int64(g.pages) || p.zeroBased() && now >= int64(g.pages)-1)
	if pg.records == 0 || lastPage || g.ended && !g.more || p.total >= 0 && p.seen >= p.total {
		p.done = true
		return nil
	}
	p.turn(p.at + step)
	return nil
}

// zeroBased reports whether the pages read so far were counted from 0.
func (p *pager) zeroBased() bool { return p.at == int64(p.count)-1 }

// turn goes to a page number or offset.
func (p *pager) turn(at int64) {
	p.at = at
	p.url = with(p.url, p.param, strconv.FormatInt(at, 10))
}

// probe asks for a second page that nothing tells of, and returns it, or nil
// when there is none.
func (p *pager) probe(ctx context.Context) (*page, error) {
	ignored := false
	for _, try := range []struct {
		mode, param string
		at          int64
	}{
		{"page", orElse(p.s.settings.Pagination.PageParam, "page"), 2},
		{"offset", orElse(p.s.settings.Pagination.OffsetParam, "offset"), p.seen},
	} {
		if err := p.within(); err != nil {
			return nil, err
		}
		a, err := p.s.get(ctx, with(p.e.url, try.param, strconv.FormatInt(try.at, 10)), true, nil)
		var status *statusError
		if errors.As(err, &status) && slices.Contains([]int{400, 404, 405, 410, 416, 422}, status.status) {
			ignored = true
			continue
		}
		if err != nil {
			return nil, plain(err)
		}
		pg, err := p.read(a)
		if err != nil {
			return nil, err
		}
		if pg.records == 0 || pg.single {
			if p.total <= p.seen {
				p.done = true
				return nil, nil
			}
			ignored = true
			continue
		}
		if p.repeats(pg) {
			ignored = true
			continue
		}
		p.mode, p.param, p.at, p.url = try.mode, try.param, try.at, a.url
		return p.take(a, pg)
	}
	return nil, p.end(ignored)
}
