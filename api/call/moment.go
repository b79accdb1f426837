package call

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"headwater/api/web"
)

// AsOf returns the sequence that the parameter as_of selects, 0 for the present.
func (r *Request) AsOf() (uint64, error) {
	text := r.Query.Get("as_of")
	if text == "" {
		return 0, nil
	}
	return r.Moment(text)
}

// Moment returns the sequence that an as_of selects: a sequence, or the last one
// up to a time.
func (r *Request) Moment(text string) (uint64, error) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n > 0 {
		if now := r.Model.Position(); n > now {
			return 0, web.Malformed(web.Detail{Field: "as_of", Message: fmt.Sprintf("lies in the future: the newest sequence is %d", now)})
		}
		return n, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, web.Malformed(web.Detail{Field: "as_of", Message: "must be a sequence above 0 or a time such as 2026-01-31T12:00:00Z"})
	}
	if at.After(time.Now()) {
		return 0, web.Malformed(web.Detail{Field: "as_of", Message: "lies in the future"})
	}
	sequence, err := r.Model.SequenceAt(at)
	if err != nil {
		return 0, err
	}
	if sequence == 0 {
		return 0, web.Fail(http.StatusNotFound, "not_found", "There is no history of that time: the first event is later")
	}
	return sequence, nil
}

// Waiter waits until this node has read the log up to a sequence.
// *projections.Store implements it.
type Waiter interface {
	Wait(ctx context.Context, sequence uint64) error
}

// Reach waits for at most that long until the read model has caught up with a
// sequence. Otherwise it returns a 503.
func Reach(ctx context.Context, model Waiter, most time.Duration, sequence uint64) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if err := model.Wait(ctx, sequence); err != nil {
		return web.Fail(http.StatusServiceUnavailable, "behind", "This node has not reached that part of the log yet; try again").Later(time.Second).Because(err)
	}
	return nil
}
