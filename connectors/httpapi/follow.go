package httpapi

import (
	"net/url"
	"strconv"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi/words"
	"headwater/connectors/records"
)

// follow goes to the URL of the next page as it was given. It must be on the same host.
func (p *pager) follow(from *url.URL, g signs, sign string) error {
	next := ""
	for _, l := range g.nexts {
		if l.name == sign || next == "" && sign == "" {
			next = l.url
		}
	}
	if next == "" && len(g.nexts) > 0 && sign != "Link" && len(p.s.settings.Pagination.NextField) == 0 {
		next = g.nexts[0].url
	}
	switch {
	case g.over != "":
		return p.over(g.over)
	case next == "" && g.more != "":
		return p.contradiction(g.more, sign)
	case next == "" && g.page.known && g.pages.known && g.page.n+fromZero(p.begun.signs.page) < g.pages.n:
		return p.contradiction(g.pages.name, sign)
	case next == "" && p.unread(g.last.url):
		return p.contradiction(g.last.name+", which names a later page as the last,", sign)
	case next == "":
		return p.over(sign)
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
	if p.given = true; p.last.records == 0 && p.urls[u.String()] {
		return p.over("an empty page that leads to itself")
	}
	return p.to(u)
}

// unread reports whether the address of the last page has a number or an offset that was
// not read.
func (p *pager) unread(last string) bool {
	u, err := url.Parse(last)
	if err != nil {
		return false
	}
	for name, values := range u.Query() {
		n, err := strconv.ParseInt(values[0], 10, 64)
		plain := strings.TrimSuffix(words.Plain(name), "number")
		switch {
		case err != nil:
		case words.PageNames[plain] && n > int64(p.count), words.SkipNames[plain] && n >= p.covered():
			return true
		}
	}
	return false
}

// fromZero is 1 where pages are counted from 0, else 0.
func fromZero(first number) int64 {
	if first.known && first.n == 0 {
		return 1
	}
	return 0
}

// to goes to a URL that was not read before.
func (p *pager) to(u *url.URL) error {
	if p.urls[u.String()] {
		return driver.E(driver.ErrBadData, nil, "%s gives pages in circles: page %d leads back to an earlier one; set pagination", where(p.e.url), p.count)
	}
	p.url = u
	return nil
}

// token asks for the next page with what the answer gave for it.
func (p *pager) token(g signs) error {
	value := ""
	for _, t := range g.tokens {
		if t.name == p.sign {
			value = t.value
		}
	}
	switch {
	case g.over != "":
		return p.over(g.over)
	case value == "" && g.more != "":
		return p.contradiction(g.more, p.sign)
	case value == "":
		return p.over(p.sign)
	case value == p.tried && p.last.records == 0:
		return p.over("an empty page that leads to itself")
	}
	p.tried = value
	return p.to(with(p.first, p.param, value))
}

// after asks for what comes after the last record's id.
func (p *pager) after(g signs, pg page) error {
	id := lastID(pg)
	switch {
	case g.over != "":
		return p.over(g.over)
	case pg.records == 0 && g.more != "":
		return p.contradiction(g.more, "an empty page")
	case pg.records == 0 && p.told != "":
		return p.contradiction(p.told, "an empty page behind it")
	case pg.records == 0:
		return p.over("an empty page")
	case id == "":
		return driver.E(driver.ErrBadData, nil, "%s says that there are more pages, but its last record has no id to ask for them by; set pagination", where(p.e.url))
	}
	return p.to(with(p.first, p.param, id))
}

// lastID returns the id of the last record, "" if it has none.
func lastID(pg page) string {
	var id []byte
	for element := range pg.elements() {
		id = records.Field(element, "id")
	}
	if len(id) == 0 || id[0] == '{' || id[0] == '[' || empty(id) {
		return ""
	}
	return string(records.Unquote(id))
}
