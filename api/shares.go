package api

import (
	"net/http"
	"time"

	"headwater/api/quota"
	"headwater/api/web"
)

func (r *request) ofUser(most int) quota.Share {
	return quota.Share{Key: "u\x00" + r.caller.Organization + "\x00" + r.caller.Username, Most: int64(most), Whom: "You have"}
}

func (r *request) ofWorkspace(most int) quota.Share {
	return quota.Share{Key: "w\x00" + r.caller.Organization + "\x00" + r.workspace, Most: int64(most), Whom: "The workspace has"}
}

func (r *request) ofOrganization(most int64) quota.Share {
	return quota.Share{Key: "o\x00" + r.caller.Organization, Most: most, Whom: "The organization has"}
}

// commandShares are the shares that each command takes one of.
func (h *Handler) commandShares(r *request) []quota.Share {
	most := h.Options.MaxInFlight
	return []quota.Share{r.ofWorkspace(most), r.ofOrganization(4 * int64(most))}
}

// streamShares are the shares that each event stream takes one of.
func (h *Handler) streamShares(r *request) []quota.Share {
	most := h.Options.MaxStreams
	return []quota.Share{r.ofUser(most), r.ofWorkspace(4 * most), r.ofOrganization(16 * int64(most))}
}

// hold takes n of each share until the request has been answered. If a share is
// used up it returns the failure that refuse makes of it.
func (r *request) hold(l *quota.Limiter, n int64, refuse func(*quota.Share) *web.Failure, shares ...quota.Share) error {
	if full := l.Enter(n, shares...); full != nil {
		return refuse(full)
	}
	before := r.release
	r.release = func() {
		l.Leave(n, shares...)
		if before != nil {
			before()
		}
	}
	return nil
}

// smallAnswer is the size in bytes up to which an answer is not counted as
// unread: the connection buffers it.
const smallAnswer = 64 << 10

// writable counts the bytes of a large answer as unread until the request is
// released. It returns the answer, or a 429 in its place.
func (h *Handler) writable(r *request, a *web.Answer) *web.Answer {
	n := int64(a.Size())
	if n <= smallAnswer || r.caller.Organization == "" {
		return a
	}
	err := r.hold(&h.unread, n, func(p *quota.Share) *web.Failure {
		return web.Fail(http.StatusTooManyRequests, "too_many_requests", "%s %d MiB of answers that its clients have not read yet; read them, or ask for less at once with limit", p.Whom, p.Most>>20).Later(time.Second)
	}, r.ofOrganization(h.Options.MaxUnread))
	if err != nil {
		return web.AsFailure(err).Answer()
	}
	return a
}
