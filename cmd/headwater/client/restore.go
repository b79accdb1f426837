package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// RestoreCmd brings removed sources back.
type RestoreCmd struct {
	ClientFlags `embed:""`
	Sources     []string `arg:"" optional:"" help:"Names or ids of removed sources; 'headwater list --removed' shows them."`
	AsOf        string   `help:"All sources that existed at this time (2026-01-31T12:00:00Z) or sequence and are removed now."`
	Rename      string   `help:"New name of the one source."`
	DryRun      bool     `help:"Say what would be restored, and restore nothing."`
}

// Run restores the sources and prints those that exist again. It fails if a
// source could not be restored; the others are restored nevertheless.
func (c *RestoreCmd) Run(ctx context.Context, s terminal.Streams) error {
	if (len(c.Sources) == 0) == (c.AsOf == "") {
		return exit.Usagef("name the sources to restore, or give --as-of; 'headwater list --removed' shows what can be restored")
	}
	if c.Rename != "" && len(c.Sources) != 1 {
		return exit.Usagef("--rename needs exactly one source")
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	removed, err := api.RemovedSources(ctx, c.Scope)
	if err != nil {
		return err
	}
	body := map[string]any{"scope": c.Scope}
	if c.AsOf != "" {
		body["as_of"] = c.AsOf
	} else {
		ids, err := idsAmong(removed, c.Sources, fmt.Sprintf("no removed source %%q with scope %s in workspace %s; 'headwater list --removed' shows what can be restored", c.Scope, c.Workspace))
		if err != nil {
			return err
		}
		body["source_ids"] = ids
		if c.Rename != "" {
			body["names"] = map[string]string{ids[0]: c.Rename}
		}
	}
	if c.DryRun {
		body["dry_run"] = true
	}
	a, err := api.Post(ctx, api.Path("restore"), body, "")
	if err != nil {
		return err
	}
	op, waited, err := api.Settled(ctx, s, a)
	if err != nil {
		return err
	}
	var doc restoreDoc
	if !waited {
		if err := a.Into(&doc); err != nil {
			return err
		}
		return errors.Join(c.show(s, doc, removed), doc.failure())
	}
	for _, target := range op.Targets {
		if target.Status == "completed" {
			doc.Restored = append(doc.Restored, target.SourceID)
		}
	}
	doc.Count = len(doc.Restored)
	return errors.Join(c.show(s, doc, removed), rest.OperationError(op))
}

type restoreDoc struct {
	Count     int              `json:"restored_count"`
	Restored  []string         `json:"restored_sources"`
	Unchanged []string         `json:"unchanged_sources,omitempty"`
	Failed    []rest.FailedDoc `json:"failed_sources,omitempty"`
	Notes     []string         `json:"notes,omitempty"`
}

// failure returns an error that names every source that was not restored.
func (d restoreDoc) failure() error {
	return exit.With(rest.Partly(d.Count), errors.Join(notDone("restored", d.Failed)...))
}

func (c *RestoreCmd) show(s terminal.Streams, doc restoreDoc, removed []rest.SourceDoc) error {
	if c.JSON {
		return terminal.PrintJSON(s, doc)
	}
	done := "restored "
	if c.DryRun {
		done = "would restore "
	}
	for _, id := range doc.Restored {
		name := id
		if at := slices.IndexFunc(removed, func(d rest.SourceDoc) bool { return d.ID == id }); at >= 0 {
			name = terminal.Plain(removed[at].Name) + "  " + id
		}
		fmt.Fprintln(s.Out, done+name)
	}
	for _, note := range doc.Notes {
		s.Note("%s", flags.Said(note))
	}
	for _, id := range doc.Unchanged {
		fmt.Fprintln(s.Out, "is there already "+id)
	}
	if len(doc.Restored)+len(doc.Unchanged) == 0 {
		_, err := fmt.Fprintf(s.Out, "nothing to restore with scope %s in workspace %s\n", c.Scope, c.Workspace)
		return err
	}
	return nil
}

// idsAmong returns the ids of the sources that the arguments name, by id or by
// name, without repeats. missing is the format of the error for a name that no
// source has. A name that several sources have is an error that lists their ids.
func idsAmong(all []rest.SourceDoc, named []string, missing string) ([]string, error) {
	var ids []string
	for _, arg := range named {
		var found, which []string
		for _, source := range all {
			if source.ID == arg || source.Name == arg {
				found, which = append(found, source.ID), append(which, fmt.Sprintf("%s (%s, named %s)", source.ID, source.Status, source.Name))
			}
		}
		if len(found) == 0 && strings.HasPrefix(arg, "src_") {
			found = []string{arg}
		}
		switch {
		case len(found) == 0:
			return nil, exit.With(exit.Refused, fmt.Errorf(missing, arg))
		case len(found) > 1:
			return nil, exit.With(exit.Refused, fmt.Errorf("several sources are named %q; give the id of the one you mean: %s", arg, strings.Join(which, ", ")))
		case !slices.Contains(ids, found[0]):
			ids = append(ids, found[0])
		}
	}
	return ids, nil
}

func removedGrid(sources []rest.SourceDoc, now time.Time) *terminal.Grid {
	g := terminal.NewGrid("NAME", "TYPE", "CONNECTOR", "#TABLES", "#RECORDS", "REMOVED", "UNTIL", "ID")
	for _, source := range sources {
		removed, until := "", ""
		if source.RemovedAt != nil {
			removed = humanize.RelTime(*source.RemovedAt, now, "ago", "from now")
		}
		if source.DestroyedAfter != nil {
			until = source.DestroyedAfter.Format(time.RFC3339)
		}
		g.Add(source.Name, source.Type, source.Connector, terminal.Count(int64(source.Tables)), terminal.Count(source.Records), removed, until, source.ID)
	}
	return g
}
