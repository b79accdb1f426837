package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"headwater/bus/event"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// VerifyCmd compares what landed with the sources.
type VerifyCmd struct {
	ClientFlags `embed:""`
	Sources     []string `arg:"" optional:"" help:"Names or ids of the sources; all of the scope without any."`
	Table       []string `sep:"none" help:"Only this table, or those that match a pattern; may be given several times."`
}

// verifiedDoc is what POST verify answers.
type verifiedDoc struct {
	Sources []verifiedSourceDoc `json:"verified_sources"`
	Failed  []struct {
		Name  string `json:"name"`
		Error string `json:"error"`
	} `json:"failed_sources"`
	OperationID string `json:"operation_id"`
}

type verifiedSourceDoc struct {
	SourceID string               `json:"source_id"`
	Name     string               `json:"name"`
	Tables   []event.Verification `json:"tables"`
}

// Run prints how each table compares with its source. It is an error if one is
// different, could not be compared, or a source could not be looked at.
func (c *VerifyCmd) Run(ctx context.Context, s terminal.Streams) error {
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
	a, err := api.post(ctx, api.Path("verify"), body, "")
	if err != nil {
		return err
	}
	op, waited, err := api.settled(ctx, s, a)
	if err != nil {
		return err
	}
	var doc verifiedDoc
	if !waited {
		if err := a.into(&doc); err != nil {
			return err
		}
	} else {
		for _, target := range op.Targets {
			if target.Status != "completed" {
				continue
			}
			found := verifiedSourceDoc{SourceID: target.SourceID, Name: target.Name}
			var result struct{ Verified []event.Verification }
			if err := json.Unmarshal(target.Result, &result); err != nil {
				return fmt.Errorf("the service's answer is not as expected, is it another version? %w", err)
			}
			found.Tables = result.Verified
			doc.Sources = append(doc.Sources, found)
		}
		doc.OperationID = op.OperationID
		err = operationError(op)
	}
	return errors.Join(c.show(s, doc), doc.failure(), err)
}

func (c *VerifyCmd) show(s terminal.Streams, doc verifiedDoc) error {
	if c.JSON {
		return terminal.PrintJSON(s, doc)
	}
	g := terminal.NewGrid("SOURCE", "TABLE", "STATUS", "#SOURCE", "#LANDED", "#TIME", "WHAT")
	for _, source := range doc.Sources {
		for _, t := range source.Tables {
			g.Add(source.Name, FullName(t.Namespace, t.Name), t.Status, terminal.Count(t.SourceRows), terminal.Count(t.LandedRows), terminal.Took(t.DurationMS), t.Message)
		}
	}
	if err := g.Print(s.Out, "no table was compared"); err != nil {
		return err
	}
	for _, source := range doc.Sources {
		for _, t := range source.Tables {
			for _, r := range t.Rows {
				s.Note("%s: %s: %s: %s", terminal.Plain(source.Name), terminal.Plain(FullName(t.Namespace, t.Name)), terminal.Plain(r.What), terminal.Plain(r.Key))
			}
		}
	}
	return nil
}

// failure names what is not known to be as in its source.
func (d verifiedDoc) failure() error {
	var errs []error
	for _, f := range d.Failed {
		errs = append(errs, fmt.Errorf("not verified: %s: %s", terminal.Plain(f.Name), said(f.Error)))
	}
	for _, source := range d.Sources {
		for _, t := range source.Tables {
			if t.Status == event.VerifiedDifferent || t.Status == event.Unverified {
				table, mend := terminal.Plain(FullName(t.Namespace, t.Name)), ""
				if t.Status == event.VerifiedDifferent {
					mend = "\n  a sync with --reset " + table + " reads it anew"
				}
				errs = append(errs, fmt.Errorf("%s: %s is %s: %s%s", terminal.Plain(source.Name), table, terminal.Plain(t.Status), said(t.Message), mend))
			}
		}
	}
	return exit.With(d.exit(), errors.Join(errs...))
}

// exit is that of a verification which found something: a difference is one,
// and what could not be compared beside what is right is a part.
func (d verifiedDoc) exit() int {
	code := exit.Failed
	for _, source := range d.Sources {
		for _, t := range source.Tables {
			switch t.Status {
			case event.VerifiedDifferent:
				return exit.Failed
			case event.Unverified:
			default:
				code = exit.Partial
			}
		}
	}
	return code
}
