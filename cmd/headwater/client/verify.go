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

// VerifyCmd compares landed tables with their sources.
type VerifyCmd struct {
	tablesFlags `embed:""`
}

// verifiedDoc is the answer of POST verify.
type verifiedDoc struct {
	Sources []tablesDoc[event.Verification] `json:"verified_sources"`
	rest.OutcomeDoc
}

// Run prints how each table compares with its source. It fails if a table
// differs or could not be compared, or if a source could not be verified.
func (c *VerifyCmd) Run(ctx context.Context, s terminal.Streams) error {
	a, op, waited, err := c.post(ctx, s, "verify")
	if err != nil {
		return err
	}
	var doc verifiedDoc
	if !waited {
		if err := a.Into(&doc); err != nil {
			return err
		}
		return errors.Join(c.show(s, doc), doc.failure())
	}
	if doc.Sources, err = tablesOf[event.Verification](op, "verified"); err != nil {
		return err
	}
	doc.OperationID = op.OperationID
	return errors.Join(c.show(s, doc), doc.failure(), rest.OperationError(op))
}

func (c *VerifyCmd) show(s terminal.Streams, doc verifiedDoc) error {
	if c.JSON {
		return terminal.PrintJSON(s, doc)
	}
	g := terminal.NewGrid("SOURCE", "TABLE", "STATUS", "#SOURCE", "#LANDED", "#TIME", "WHAT")
	for _, source := range doc.Sources {
		for _, t := range source.Tables {
			g.Add(source.Name, rest.FullName(t.Namespace, t.Name), t.Status, terminal.Count(t.SourceRows), terminal.Count(t.LandedRows), terminal.Took(t.DurationMS), t.Message)
		}
	}
	if err := g.Print(s.Out, "no table was compared"); err != nil {
		return err
	}
	for _, source := range doc.Sources {
		for _, t := range source.Tables {
			for _, r := range t.Rows {
				s.Note("%s: %s: %s: %s", terminal.Plain(source.Name), terminal.Plain(rest.FullName(t.Namespace, t.Name)), terminal.Plain(r.What), terminal.Plain(r.Key))
			}
		}
	}
	return nil
}

// failure returns an error that names everything that is not known to equal its
// source, or nil.
func (d verifiedDoc) failure() error {
	errs := notDone("verified", d.Failed)
	for _, source := range d.Sources {
		for _, t := range source.Tables {
			if t.Status == event.VerifiedDifferent || t.Status == event.Unverified {
				table, mend := terminal.Plain(rest.FullName(t.Namespace, t.Name)), ""
				if t.Status == event.VerifiedDifferent && !strings.Contains(t.Message, "sync_options.") && !strings.Contains(t.Message, "schedule pause") {
					mend = "\n  a sync with --reset " + table + " reads it anew"
				}
				errs = append(errs, fmt.Errorf("%s: %s is %s: %s%s", terminal.Plain(source.Name), table, terminal.Plain(t.Status), flags.Said(t.Message), mend))
			}
		}
	}
	return exit.With(d.exit(), errors.Join(errs...))
}

// exit returns the exit code of a verification: Failed if a table differs,
// Partial if some tables could not be compared and others are right.
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
