package api

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"headwater/api/auth"
	"headwater/api/web"
	"headwater/bus/event"
)

const headerLastEvent = "Last-Event-ID"

// historyID matches the id of a source, an operation or a test, each of which
// has a history.
var historyID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`) })

// eventQuery selects events of the log and says where to begin.
type eventQuery struct {
	filters      []string // subjects; within what the caller may see
	after        uint64   // sequence to begin after
	since, until time.Time
	last         uint64 // last sequence of the log at the time of the request
}

// eventQuery reads the query parameters. The contract has validated each by
// itself; eventQuery checks what they mean together.
func (h *Handler) eventQuery(ctx context.Context, r *request, stream bool) (eventQuery, error) {
	var q eventQuery
	names, wrong := eventNames(r.query.Get("type"))
	source := r.query.Get("source_id")
	if source != "" && !historyID().MatchString(source) {
		wrong = append(wrong, web.Detail{Field: "source_id", Message: "must be the id of one source: letters, digits, _ and -; wildcards are not taken"})
	}
	now := time.Now()
	for field, at := range map[string]*time.Time{"since": &q.since, "until": &q.until} {
		text := r.query.Get(field)
		if text == "" {
			continue
		}
		var err error
		if *at, err = time.Parse(time.RFC3339Nano, text); err != nil {
			wrong = append(wrong, web.Detail{Field: field, Message: "must be a time such as 2026-01-31T12:00:00Z"})
		}
	}
	if q.since.After(now) {
		wrong = append(wrong, web.Detail{Field: "since", Message: "lies in the future"})
	}
	if !q.until.IsZero() && !q.until.After(q.since) {
		wrong = append(wrong, web.Detail{Field: "until", Message: "must be later than since"})
	}
	if stream {
		for _, field := range []string{"until", "limit", "cursor"} {
			if r.query.Has(field) {
				wrong = append(wrong, web.Detail{Field: field, Message: "belongs to a page; a stream has no end"})
			}
		}
	}
	if len(wrong) > 0 {
		return q, web.Malformed(web.Sorted(wrong)...)
	}
	q.filters = r.eventFilters(source, names)
	return q, h.position(ctx, r, &q, stream)
}

// position sets where the query begins: at the latest of the positions that the
// request gives, or at the beginning of the log. A resumed stream continues
// after its last event and ignores positions in its URL.
func (h *Handler) position(ctx context.Context, r *request, q *eventQuery, stream bool) error {
	first, last, _, err := h.History.State(ctx)
	if err != nil {
		return unreadable(err)
	}
	q.last = last
	given := map[string]string{"after": r.query.Get("after"), "cursor": r.query.Get("cursor")}
	if resumed := r.http.Header.Get(headerLastEvent); stream && resumed != "" {
		given = map[string]string{headerLastEvent: resumed}
	}
	var wrong []web.Detail
	for field, text := range given {
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			wrong = append(wrong, web.Detail{Field: field, Message: "must be the sequence of an event"})
		} else if d := checkAfter(field, n, first, last); d != nil {
			wrong = append(wrong, *d)
		}
		q.after = max(q.after, n)
	}
	if len(wrong) > 0 {
		return web.Malformed(web.Sorted(wrong)...)
	}
	if !q.since.IsZero() {
		// If the read model is behind, the sequence is too low, and the reader
		// skips more events.
		before, err := h.Reads.SequenceAt(q.since.Add(-time.Millisecond))
		if err != nil {
			return err
		}
		q.after = max(q.after, min(before, last))
	}
	return nil
}

// checkAfter returns what is wrong with a position in a log that holds the
// events from first to last, or nil.
func checkAfter(field string, n, first, last uint64) *web.Detail {
	switch {
	case n > last:
		return &web.Detail{Field: field, Message: fmt.Sprintf("lies beyond the end of the log, which is at %d; is it a position in another log?", last)}
	case n > 0 && n+1 < first:
		return &web.Detail{Field: field, Message: fmt.Sprintf("lies before the beginning of the log, which holds events from %d on; 0 begins there", first)}
	}
	return nil
}

// eventNames reads one event name, or several separated by commas.
func eventNames(text string) (names []string, wrong []web.Detail) {
	if text == "" {
		return []string{"*"}, nil
	}
	for name := range strings.SplitSeq(text, ",") {
		if event.New(name) == nil {
			var known []string
			for _, e := range event.All() {
				known = append(known, e.EventName())
			}
			wrong = append(wrong, web.Detail{Field: "type", Message: "must name events, without wildcards: " + strings.Join(known, ", ")})
			return nil, wrong
		}
		names = append(names, name)
	}
	return names, nil
}

// eventFilters returns subject filters for the request's workspace. They stay
// within those of Auth.Grant, and no two overlap.
func (r *request) eventFilters(source string, names []string) []string {
	owners := []string{event.Token(r.caller.Username), event.Shared}
	switch scope := r.query.Get("scope"); {
	case scope == "user":
		owners = owners[:1]
	case scope == "organization":
		owners = owners[1:]
	case r.caller.Role == auth.RoleAdmin:
		owners = []string{"*"}
	}
	history := "*"
	if source != "" {
		history = event.Token(source)
	}
	var filters []string
	seen := map[string]bool{}
	for _, owner := range owners {
		for _, name := range names {
			filter := strings.Join([]string{event.SubjectPrefix, event.Token(r.caller.Organization), event.Token(r.workspace), owner, history, name}, ".")
			if !seen[filter] {
				seen[filter] = true
				filters = append(filters, filter)
			}
		}
	}
	return filters
}

// wantsStream reports whether the client asked for server-sent events.
func wantsStream(h http.Header) bool {
	for _, item := range strings.Split(strings.Join(h.Values("Accept"), ","), ",") {
		kind, params, err := mime.ParseMediaType(item)
		if err != nil || kind != "text/event-stream" {
			continue
		}
		if q, err := strconv.ParseFloat(params["q"], 64); err != nil || q > 0 {
			return true
		}
	}
	return false
}
