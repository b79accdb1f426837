package events

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/web"
	"headwater/bus/event"
)

// HeaderLastEvent is the header with which a client resumes a stream.
const HeaderLastEvent = "Last-Event-ID"

// query selects events of the log and says where to begin.
type query struct {
	filters      []string // subjects; within what the caller may see
	after        uint64   // sequence to begin after
	since, until time.Time
	last         uint64 // last sequence of the log at the time of the request
}

// query reads the query parameters. The contract has validated each by
// itself; query checks what they mean together.
func (c *Calls) query(ctx context.Context, r *call.Request, stream bool) (query, error) {
	var q query
	names, wrong := Names(r.Query.Get("type"))
	source := r.Query.Get("source_id")
	if source != "" && !call.HistoryID().MatchString(source) {
		wrong = append(wrong, web.Detail{Field: "source_id", Message: "must be the id of one source: letters, digits, _ and -; wildcards are not taken"})
	}
	now := time.Now()
	for field, at := range map[string]*time.Time{"since": &q.since, "until": &q.until} {
		text := r.Query.Get(field)
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
			if r.Query.Has(field) {
				wrong = append(wrong, web.Detail{Field: field, Message: "belongs to a page; a stream has no end"})
			}
		}
	}
	if len(wrong) > 0 {
		return q, web.Malformed(web.Sorted(wrong)...)
	}
	q.filters = filters(r, source, names)
	return q, c.position(ctx, r, &q, stream)
}

// position sets where the query begins: at the latest of the positions that the
// request gives, or at the beginning of the log. A resumed stream continues
// after its last event and ignores positions in its URL.
func (c *Calls) position(ctx context.Context, r *call.Request, q *query, stream bool) error {
	first, last, _, err := c.History.State(ctx)
	if err != nil {
		return Unreadable(err)
	}
	q.last = last
	given := map[string]string{"after": r.Query.Get("after"), "cursor": r.Query.Get("cursor")}
	if resumed := r.HTTP.Header.Get(HeaderLastEvent); stream && resumed != "" {
		given = map[string]string{HeaderLastEvent: resumed}
	}
	var wrong []web.Detail
	for field, text := range given {
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			wrong = append(wrong, web.Detail{Field: field, Message: "must be the sequence of an event"})
		} else if d := CheckAfter(field, n, first, last); d != nil {
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
		before, err := c.Model.SequenceAt(q.since.Add(-time.Millisecond))
		if err != nil {
			return err
		}
		q.after = max(q.after, min(before, last))
	}
	return nil
}

// CheckAfter returns what is wrong with a position in a log that holds the
// events from first to last, or nil.
func CheckAfter(field string, n, first, last uint64) *web.Detail {
	switch {
	case n > last:
		return &web.Detail{Field: field, Message: fmt.Sprintf("lies beyond the end of the log, which is at %d; is it a position in another log?", last)}
	case n > 0 && n+1 < first:
		return &web.Detail{Field: field, Message: fmt.Sprintf("lies before the beginning of the log, which holds events from %d on; 0 begins there", first)}
	}
	return nil
}

// Names reads one event name, or several separated by commas.
func Names(text string) (names []string, wrong []web.Detail) {
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

// filters returns subject filters for the request's workspace. They stay
// within those of Auth.Grant, and no two overlap.
func filters(r *call.Request, source string, names []string) []string {
	owners := []string{event.Token(r.Caller.Username), event.Shared}
	switch scope := r.Query.Get("scope"); {
	case scope == "user":
		owners = owners[:1]
	case scope == "organization":
		owners = owners[1:]
	case r.Caller.Role == auth.RoleAdmin:
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
			filter := strings.Join([]string{event.SubjectPrefix, event.Token(r.Caller.Organization), event.Token(r.Workspace), owner, history, name}, ".")
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
