package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"headwater/bus/event"
	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// MaintainCmd starts the maintenance of landed tables.
type MaintainCmd struct {
	tablesFlags `embed:""`
}

// maintainedDoc is the answer of POST maintenance.
type maintainedDoc struct {
	Sources []tablesDoc[event.Maintenance] `json:"maintained_sources"`
	rest.OutcomeDoc
}

// Run prints what was done to each table. It fails if a table failed, or if a
// source could not be maintained.
func (c *MaintainCmd) Run(ctx context.Context, s terminal.Streams) error {
	a, op, waited, err := c.post(ctx, s, "maintenance")
	if err != nil {
		return err
	}
	var doc maintainedDoc
	if !waited {
		if err := a.Into(&doc); err != nil {
			return err
		}
		return errors.Join(c.show(s, doc), doc.failure())
	}
	if doc.Sources, err = tablesOf[event.Maintenance](op, "maintained"); err != nil {
		return err
	}
	doc.OperationID = op.OperationID
	return errors.Join(c.show(s, doc), doc.failure(), rest.OperationError(op))
}

func (c *MaintainCmd) show(s terminal.Streams, doc maintainedDoc) error {
	if c.JSON {
		return terminal.PrintJSON(s, doc)
	}
	g := terminal.NewGrid("SOURCE", "TABLE", "STATUS", "#FILES", "#BYTES", "#TIME", "WHAT")
	for _, source := range doc.Sources {
		for _, t := range source.Tables {
			g.Add(source.Name, rest.FullName(t.Namespace, t.Name), t.Status, fmt.Sprintf("%d -> %d", t.FilesBefore+t.DeleteFilesBefore, t.FilesAfter+t.DeleteFilesAfter),
				terminal.Size(t.BytesBefore)+" -> "+terminal.Size(t.BytesAfter), terminal.Took(t.DurationMS), maintained(t))
		}
	}
	return g.Print(s.Out, "no table was maintained")
}

// maintained describes in words what was done to a table.
func maintained(t event.Maintenance) string {
	if t.Status == event.MaintainedFailed {
		return flags.Said(t.Message)
	}
	var what []string
	if t.FilesBefore != t.FilesAfter || t.DeletesFolded > 0 || t.DeleteFilesBefore != t.DeleteFilesAfter {
		what = append(what, fmt.Sprintf("%s became %d", terminal.Several(t.FilesBefore+t.DeleteFilesBefore, "file"), t.FilesAfter+t.DeleteFilesAfter))
	}
	if t.DeletesFolded > 0 {
		what = append(what, terminal.Several(int(t.DeletesFolded), "deleted row")+" folded in")
	}
	if t.SnapshotsExpired > 0 {
		what = append(what, terminal.Several(t.SnapshotsExpired, "snapshot")+" expired")
	}
	if t.OrphansRemoved > 0 {
		what = append(what, terminal.Several(t.OrphansRemoved, "file")+" removed that nothing needed")
	}
	if t.Left != "" {
		what = append(what, t.Left)
	}
	if len(what) == 0 {
		return "there was nothing to do"
	}
	return strings.Join(what, "; ")
}

// failure returns an error that names every source and table that was not
// maintained, or nil.
func (d maintainedDoc) failure() error {
	errs := notDone("maintained", d.Failed)
	code := exit.Failed
	for _, source := range d.Sources {
		for _, t := range source.Tables {
			if t.Status == event.MaintainedFailed {
				errs = append(errs, fmt.Errorf("%s: %s: %s", terminal.Plain(source.Name), terminal.Plain(rest.FullName(t.Namespace, t.Name)), flags.Said(t.Message)))
			} else {
				code = exit.Partial
			}
		}
	}
	return exit.With(code, errors.Join(errs...))
}
