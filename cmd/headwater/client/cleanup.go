package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"headwater/bus/event"
	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// CleanupCmd removes sources and their landed tables.
type CleanupCmd struct {
	ClientFlags `embed:""`
	Sources     []string `arg:"" optional:"" help:"Names or ids of sources; default: all of the scope."`
	Yes         bool     `short:"y" help:"Do not ask for confirmation, neither before all sources are removed nor before any is destroyed."`
	DryRun      bool     `help:"Say what would be removed, and remove nothing."`
	Purge       bool     `help:"Destroy secrets and tables at once, also of sources that were removed earlier. They cannot be restored."`
}

// Run removes the sources. Without names it lists those of the scope, asks, and
// removes exactly those listed; a source connected meanwhile stays. Its error
// names every source that was not removed.
func (c *CleanupCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	listed, err := api.Sources(ctx, c.Scope)
	if err != nil {
		return err
	}
	if c.Purge {
		removed, err := api.RemovedSources(ctx, c.Scope)
		if err != nil {
			return err
		}
		listed = append(listed, removed...)
	}
	ids, err := idsAmong(listed, c.Sources, fmt.Sprintf("no source %%q with scope %s in workspace %s%s; 'headwater list' shows what is there", c.Scope, c.Workspace, strings.ReplaceAll(api.hints(ctx, c.Scope, listed, c.Sources), "%", "%%")))
	if err != nil {
		return err
	}
	if len(c.Sources) == 0 {
		for _, source := range listed {
			ids = append(ids, source.ID)
		}
		if len(ids) == 0 {
			return c.show(s, cleanupDoc{Deleted: []string{}}, nil)
		}
		if !c.Yes && !c.DryRun {
			if err := c.confirm(s, listed); err != nil {
				return err
			}
		}
	}
	// A script that names sources is not asked: it has nobody to answer.
	if len(c.Sources) > 0 && c.Purge && !c.Yes && !c.DryRun && s.Interactive() {
		meant := slices.DeleteFunc(slices.Clone(listed), func(d rest.SourceDoc) bool { return !slices.Contains(ids, d.ID) })
		if err := c.confirm(s, meant); err != nil {
			return err
		}
	}
	body := map[string]any{"scope": c.Scope, "source_ids": ids}
	if c.DryRun {
		body["dry_run"] = true
	}
	if c.Purge {
		body["purge"] = true
	}
	a, err := api.Post(ctx, api.Path("cleanup"), body, "")
	if err != nil {
		return err
	}
	op, waited, err := api.Settled(ctx, s, a)
	if err != nil {
		return err
	}
	var doc cleanupDoc
	if !waited {
		if err := a.Into(&doc); err != nil {
			return err
		}
		return errors.Join(c.show(s, doc, listed), doc.failure())
	}
	for _, target := range op.Targets {
		if target.Status == "completed" {
			doc.Deleted = append(doc.Deleted, target.SourceID)
		}
		var result struct {
			Destruction *event.Destruction `json:"destruction"`
		}
		if json.Unmarshal(target.Result, &result) == nil && result.Destruction != nil {
			doc.Purged = append(doc.Purged, purgedDoc{target.SourceID, target.Name, *result.Destruction})
		}
	}
	doc.Count = len(doc.Deleted)
	return errors.Join(c.show(s, doc, listed), rest.OperationError(op))
}

// purgedDoc reports the destruction of one source.
type purgedDoc struct {
	SourceID string `json:"source_id"`
	Name     string `json:"name"`
	event.Destruction
}

type cleanupDoc struct {
	Count   int      `json:"deleted_count"`
	Deleted []string `json:"deleted_sources"`
	// RestorableUntil is nil if nothing can be restored.
	RestorableUntil *time.Time       `json:"restorable_until,omitempty"`
	Purged          []purgedDoc      `json:"purged_sources,omitempty"`
	Failed          []rest.FailedDoc `json:"failed_sources,omitempty"`
	Notes           []string         `json:"notes,omitempty"`
}

// failure returns an error that names every source that was not removed.
func (d cleanupDoc) failure() error {
	return exit.With(rest.Partly(d.Count), errors.Join(notDone("removed", d.Failed)...))
}

func (c *CleanupCmd) show(s terminal.Streams, doc cleanupDoc, listed []rest.SourceDoc) error {
	if c.JSON {
		return terminal.PrintJSON(s, doc)
	}
	done := "removed "
	if c.DryRun {
		done = "would remove "
	}
	for _, id := range doc.Deleted {
		name := id
		if at := slices.IndexFunc(listed, func(d rest.SourceDoc) bool { return d.ID == id }); at >= 0 {
			name = terminal.Plain(listed[at].Name) + "  " + id
		}
		if at := slices.IndexFunc(doc.Purged, func(d purgedDoc) bool { return d.SourceID == id }); at >= 0 {
			name += "  " + terminal.Several(doc.Purged[at].Files, "file")
			if doc.Purged[at].Message != "" {
				name += "; " + terminal.Plain(doc.Purged[at].Message)
			}
		}
		fmt.Fprintln(s.Out, done+name)
	}
	for _, note := range doc.Notes {
		s.Note("%s", flags.Said(note))
	}
	if doc.RestorableUntil != nil {
		fmt.Fprintf(s.Out, "'headwater restore' brings back what was removed until %s\n", doc.RestorableUntil.Format(time.RFC3339))
	}
	if len(doc.Deleted)+len(doc.Purged)+len(doc.Failed) == 0 {
		_, err := fmt.Fprintf(s.Out, "nothing to remove with scope %s in workspace %s\n", c.Scope, c.Workspace)
		return err
	}
	return nil
}

// confirm asks the user, and returns an error unless the answer is yes.
func (c *CleanupCmd) confirm(s terminal.Streams, listed []rest.SourceDoc) error {
	names := make([]string, len(listed))
	for i, source := range listed {
		names[i] = terminal.Plain(source.Name)
	}
	verb := "Remove"
	if c.Purge {
		verb = "Destroy for good"
	}
	question := fmt.Sprintf(verb+" %s with scope %s of workspace %s (%s)? [y/N] ",
		terminal.Several(len(listed), "source"), c.Scope, c.Workspace, strings.Join(names, ", "))
	typed, err := s.Line(question, false)
	if err != nil {
		return exit.Usagef("nobody to ask: name the sources, or give --yes to remove all of the scope")
	}
	if typed = strings.ToLower(strings.TrimSpace(typed)); typed != "y" && typed != "yes" {
		return exit.With(exit.Refused, errors.New("nothing was removed"))
	}
	return nil
}
