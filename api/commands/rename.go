package commands

import (
	"context"
	"strings"
	"unicode"

	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

type renameRequest struct {
	Scope    string `json:"scope"`
	SourceID string `json:"source_id"`
	Name     string `json:"name"`
}

// Rename gives a source another name.
func (c *Calls) Rename(r *call.Request, _ idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	var body renameRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	if message := unfitName(body.Name); message != "" {
		return nil, web.Malformed(web.Detail{Field: "name", Message: message})
	}
	source, err := r.FindSource(body.Scope, body.SourceID)
	if err != nil {
		return nil, err
	}
	j := &jobs.Job{Kind: event.KindRename, Owner: source.Address.Owner, Targets: prior}
	if prior == nil {
		j.Targets = []idempotency.Target{{SourceID: source.Address.Source, Name: source.Name}}
	}
	j.Payload = func(context.Context, idempotency.Target) (command.Data, error) {
		return &command.RenameSource{Name: body.Name}, nil
	}
	j.Compose = func(op projections.Operation) (*web.Answer, error) {
		return c.composeOne(j, op, "name", "The data source was not renamed", "Renamed the data source; its tables stay where they lie")
	}
	return j, nil
}

// unfitName returns why a name is not allowed, or "".
func unfitName(name string) string {
	if strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl) {
		return "must not begin or end with white space or hold control characters"
	}
	if strings.ContainsFunc(name, unseen) {
		return "must not hold characters that cannot be seen, or that turn the direction of others"
	}
	return ""
}

// unseen reports whether a character is invisible or changes the direction of
// text. Such characters would make two different names look alike.
func unseen(r rune) bool {
	switch {
	case r == '\u034f', r == '\u115f', r == '\u1160', r == '\u17b4', r == '\u17b5', r == '\u3164', r == '\uffa0', r == '\u2800':
		return true // letters and marks that show nothing
	case r >= 0xfe00 && r <= 0xfe0e, r >= 0xe0100 && r <= 0xe01ef: // variation selectors, except that of emoji, which is visible
		return true
	}
	return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}
