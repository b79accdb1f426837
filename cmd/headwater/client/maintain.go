package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"headwater/bus/event"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// MaintainCmd asks for the maintenance of landed tables.
type MaintainCmd struct {
	ClientFlags `embed:""`
	Sources     []string `arg:"" optional:"" help:"Names or ids of the sources; all of the scope without any."`
	Table       []string `sep:"none" help:"Only this table, or those that match a pattern; may be given several times."`
}

// maintainedDoc is what POST maintenance answers.
type maintainedDoc struct {
	Sources []maintainedSourceDoc `json:"maintained_sources"`
	Failed  []struct {
		Name  string `json:"name"`
		Error string `json:"error"`
	} `json:"failed_sources"`
	OperationID string `json:"operation_id"`
}

type maintainedSourceDoc struct {
	SourceID string              `json:"source_id"`
	Name     string              `json:"name"`
	Tables   []event.Maintenance `json:"tables"`
}

// Run prints what was done to each table. It is an error if one failed, or a
// source could not be looked at.
func (c *MaintainCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	body := map[string]any{"scope": c.Scope}
	if len(c.Sources) > 0 {
		if body["source_ids"], err = api.sourceIDs(ctx, c.Scope, c.Sources); err != nil {
			return err
		}
	}
	if len(c.Table) > 0 {
		body["tables"] = c.Table
	}
	a, err := api.post(ctx, api.Path("maintenance"), body, "")
	if err != nil {
		return err
	}
	op, waited, err := api.settled(ctx, s, a)
	if err != nil {
		return err
	}
	var doc maintainedDoc
	if !waited {
		if err := a.into(&doc); err != nil {
			return err
		}
	} else {
		for _, target := range op.Targets {
			if target.Status != "completed" {
				continue
			}
			var result struct{ Maintained []event.Maintenance }
			if err := json.Unmarshal(target.Result, &result); err != nil {
				return fmt.Errorf("the service's answer is not as expected, is it another version? %w", err)
			}
			doc.Sources = append(doc.Sources, maintainedSourceDoc{SourceID: target.SourceID, Name: target.Name, Tables: result.Maintained})
		}
		doc.OperationID = op.OperationID
		err = operationError(op)
	}
	return errors.Join(c.show(s, doc), doc.failure(), err)
}

func (c *MaintainCmd) show(s terminal.Streams, doc maintainedDoc) error {
	if c.JSON {
		return terminal.PrintJSON(s, doc)
	}
	g := terminal.NewGrid("SOURCE", "TABLE", "STATUS", "#FILES", "#BYTES", "#TIME", "WHAT")
	for _, source := range doc.Sources {
		for _, t := range source.Tables {
			g.Add(source.Name, FullName(t.Namespace, t.Name), t.Status, fmt.Sprintf("%d -> %d", t.FilesBefore+t.DeleteFilesBefore, t.FilesAfter+t.DeleteFilesAfter),
				terminal.Size(t.BytesBefore)+" -> "+terminal.Size(t.BytesAfter), terminal.Took(t.DurationMS), maintained(t))
		}
	}
	return g.Print(s.Out, "no table was maintained")
}

// maintained says in words what was done to a table.
func maintained(t event.Maintenance) string {
	if t.Status == event.MaintainedFailed {
		return said(t.Message)
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

// failure names what was not maintained.
func (d maintainedDoc) failure() error {
	var errs []error
	code := exit.Failed
	for _, f := range d.Failed {
		errs = append(errs, fmt.Errorf("not maintained: %s: %s", terminal.Plain(f.Name), said(f.Error)))
	}
	for _, source := range d.Sources {
		for _, t := range source.Tables {
			if t.Status == event.MaintainedFailed {
				errs = append(errs, fmt.Errorf("%s: %s: %s", terminal.Plain(source.Name), terminal.Plain(FullName(t.Namespace, t.Name)), said(t.Message)))
			} else {
				code = exit.Partial
			}
		}
	}
	return exit.With(code, errors.Join(errs...))
}
