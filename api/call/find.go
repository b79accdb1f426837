package call

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"headwater/api/contract"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/projections"
)

// Model is what a request looks up in the read model. *projections.Store
// implements it, and documents each method.
type Model interface {
	Source(a event.Address) (projections.Source, error)
	AnySource(a event.Address) (projections.Source, error)
	Sources(q projections.ListQuery) (all []projections.Source, next string, err error)
	Operation(organization, workspace, id string) (projections.Operation, error)
	Sync(organization, workspace, id string) (projections.Sync, error)
	Position() uint64
	SequenceAt(at time.Time) (uint64, error)
}

// FindSources returns the sources with the given ids, without repeats, or all sources
// of the workspace and owner if ids is nil (absent or null in the request). An
// id that is unknown, removed or somebody else's is a 404 that names it.
func (r *Request) FindSources(owner string, ids *[]string) ([]projections.Source, error) {
	if ids == nil {
		all, _, err := r.Model.Sources(projections.ListQuery{Organization: r.Caller.Organization, Workspace: r.Workspace, Owner: owner})
		return all, err
	}
	return r.PickSources(owner, *ids, func(s *projections.Source) bool { return !s.Removed })
}

// PickSources returns the sources with the given ids that satisfy fits, without
// repeats, or a 404 that names the others.
func (r *Request) PickSources(owner string, ids []string, fits func(*projections.Source) bool) ([]projections.Source, error) {
	var sources []projections.Source
	var missing []web.Detail
	seen := map[string]bool{}
	for i, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		source, err := r.Model.AnySource(r.Address(owner, id))
		switch {
		case errors.Is(err, projections.ErrNotFound), err == nil && !fits(&source):
			missing = append(missing, web.Detail{Field: fmt.Sprintf("source_ids[%d]", i), Message: "there is no source " + contract.Printable(id)})
		case err != nil:
			return nil, err
		default:
			sources = append(sources, source)
		}
	}
	if missing != nil {
		return nil, noSources(missing...)
	}
	return sources, nil
}

// NoSource returns the 404 for a source that does not exist for the caller: the
// field source_id of the request names it.
func NoSource(id string) *web.Failure {
	return noSources(web.Detail{Field: "source_id", Message: "there is no source " + contract.Printable(id)})
}

// ScheduledSource returns the source named by the path, or a 404 if the caller has
// no such source.
func (r *Request) ScheduledSource() (projections.Source, error) {
	return r.FindSource(r.Query.Get("scope"), r.Variable("source_id"))
}

func noSources(missing ...web.Detail) *web.Failure {
	f := web.Fail(http.StatusNotFound, "not_found", "There is no such source in this workspace and scope").With(missing...)
	if len(missing) == 1 {
		f.Message = strings.ToUpper(missing[0].Message[:1]) + missing[0].Message[1:] + " in this workspace and scope"
	}
	return f
}

// FindSource returns the source with that id, or a 404 if the caller has no such
// source.
func (r *Request) FindSource(scope, id string) (projections.Source, error) {
	source, err := r.Model.Source(r.Address(r.Owner(scope), id))
	if errors.Is(err, projections.ErrNotFound) {
		return source, NoSource(id)
	}
	return source, err
}

// FindOperation returns the operation named by the path. An operation of another
// user is a 404, as if it did not exist.
func (r *Request) FindOperation() (projections.Operation, error) {
	id := r.Variable("operation_id")
	op, err := r.Model.Operation(r.Caller.Organization, r.Workspace, id)
	if err == nil && !r.sees(op.Owner) {
		err = projections.ErrNotFound
	}
	if errors.Is(err, projections.ErrNotFound) {
		return op, web.Fail(http.StatusNotFound, "not_found", "There is no operation %s in this workspace", contract.Printable(id))
	}
	return op, err
}

// sees reports whether the caller may see what belongs to owner.
func (r *Request) sees(owner string) bool { return owner == "" || owner == r.Caller.Username }

// FindSync returns the sync named by the path. A sync of another user is a 404.
func (r *Request) FindSync() (projections.Sync, error) {
	id := r.Variable("sync_id")
	sync, err := r.Model.Sync(r.Caller.Organization, r.Workspace, id)
	if err == nil && !r.sees(sync.Address.Owner) {
		err = projections.ErrNotFound
	}
	if errors.Is(err, projections.ErrNotFound) {
		return sync, web.Fail(http.StatusNotFound, "not_found", "There is no sync %s in this workspace; one that waits for its turn is cancelled by its operation", contract.Printable(id))
	}
	return sync, err
}
