package call

import (
	"headwater/api/quota"
	"headwater/api/web"
)

// OfUser is the share that the caller has of something that each user may use most
// of.
func (r *Request) OfUser(most int) quota.Share {
	return quota.Share{Key: "u\x00" + r.Caller.Organization + "\x00" + r.Caller.Username, Most: int64(most), Whom: "You have"}
}

// OfWorkspace is the share of the request's workspace.
func (r *Request) OfWorkspace(most int) quota.Share {
	return quota.Share{Key: "w\x00" + r.Caller.Organization + "\x00" + r.Workspace, Most: int64(most), Whom: "The workspace has"}
}

// OfOrganization is the share of the caller's organization.
func (r *Request) OfOrganization(most int64) quota.Share {
	return quota.Share{Key: "o\x00" + r.Caller.Organization, Most: most, Whom: "The organization has"}
}

// Hold takes n of each share until the request has been answered. If a share is
// used up it returns the failure that refuse makes of it.
func (r *Request) Hold(l *quota.Limiter, n int64, refuse func(*quota.Share) *web.Failure, shares ...quota.Share) error {
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

// Release returns the shares that the request holds. It is called once, after the
// answer.
func (r *Request) Release() {
	if r.release != nil {
		r.release()
	}
}

// SmallAnswer is the size in bytes up to which an answer is not counted as
// unread: the connection buffers it.
const SmallAnswer = 64 << 10
