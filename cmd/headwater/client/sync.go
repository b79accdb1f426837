package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/progress"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// SyncCmd syncs sources and shows their progress.
type SyncCmd struct {
	ClientFlags     `embed:""`
	Sources         []string `arg:"" optional:"" help:"Names or ids of sources; default: all of the scope."`
	flags.SyncFlags `embed:""`
	Detach          bool `help:"Start the sync, print the id of its operation and return."`
	Follow          bool `help:"Show how the changes of one source land, with the lag. Ctrl-C ends the view; a sync that its schedule keeps running goes on."`
	Cancel          bool `help:"Cancel the sync on Ctrl-C. Without it the sync goes on in the service."`
}

// Run starts the sync and follows it until it has ended. It fails if a source or
// table was not synced, or if it is interrupted before the end.
func (c *SyncCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	ids, err := api.sourceIDs(ctx, c.Scope, c.Sources)
	if err != nil {
		return err
	}
	options, err := c.Options()
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	if c.Follow {
		return c.follow(ctx, s, api, ids, options)
	}
	id, err := api.StartSync(ctx, c.Scope, ids, options)
	if err != nil {
		return err
	}
	if id == "" {
		s.Note("there is nothing to sync with scope %s in workspace %s", c.Scope, c.Workspace)
		if c.JSON {
			return terminal.PrintJSON(s, syncAnswer(rest.OperationDoc{}, nil))
		}
		return nil
	}
	if c.Detach {
		if c.JSON {
			return terminal.PrintJSON(s, map[string]string{"operation_id": id})
		}
		_, err := fmt.Fprintln(s.Out, id)
		return err
	}
	p := progress.New(s)
	op, syncs, err := progress.Follow(ctx, api.Conn, id, p)
	p.Close()
	if ctx.Err() != nil {
		return c.leave(ctx, api, id)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		err = terminal.PrintJSON(s, syncAnswer(op, syncs))
	} else {
		err = printSyncs(s, op, syncs)
	}
	return errors.Join(err, SyncError(op, syncs))
}

// leave handles Ctrl-C during a sync. Its error says what becomes of the sync.
func (c *SyncCmd) leave(ctx context.Context, api *Client, id string) error {
	if !c.Cancel {
		return rest.Interrupted(id, ctx.Err())
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer stop()
	op, err := api.cancel(ctx, id)
	if err != nil {
		return exit.With(exit.Unknown, fmt.Errorf("the sync could not be cancelled and may go on as %s: %w", id, err))
	}
	return exit.With(exit.Failed, fmt.Errorf("interrupted; the sync ended as %s", op.Status))
}

// follow shows the running sync of a source until it ends. It starts one, with the
// options, if none is running.
func (c *SyncCmd) follow(ctx context.Context, s terminal.Streams, api *Client, ids []string, options map[string]any) error {
	if len(ids) != 1 {
		return exit.Usagef("--follow shows one source: name it")
	}
	id, err := api.runningSync(ctx, c.Scope, ids[0])
	if err != nil {
		return err
	}
	if id == "" {
		if id, err = c.begun(ctx, api, ids, options); err != nil {
			return err
		}
	}
	v := progress.NewLive(s)
	defer v.Close()
	for {
		sync, err := api.Sync(ctx, id)
		switch {
		case ctx.Err() != nil:
			return exit.With(exit.Unknown, fmt.Errorf("stopped following; the sync %s goes on in the service", id))
		case err != nil:
			return err
		}
		if !c.JSON {
			v.Show(sync, time.Now())
		} else if err := terminal.PrintJSON(s, sync); err != nil {
			return err
		}
		if sync.Status != "running" {
			v.Close()
			if sync.Error != nil {
				return exit.With(exit.Failed, fmt.Errorf("the sync %s: %s", sync.Status, flags.Said(sync.Error.Message)))
			}
			s.Note("the sync ended as %s", sync.Status)
			return unsynced([]rest.SyncDoc{sync})
		}
		if err := rest.Sleep(ctx, 2*api.Poll); err != nil {
			return exit.With(exit.Unknown, fmt.Errorf("stopped following; the sync %s goes on in the service", id))
		}
	}
}

// begun starts a sync and returns its id once a worker has taken it.
func (c *SyncCmd) begun(ctx context.Context, api *Client, ids []string, options map[string]any) (string, error) {
	operation, err := api.StartSync(ctx, c.Scope, ids, options)
	if err != nil {
		return "", err
	}
	for {
		op, err := api.Operation(ctx, operation)
		if err != nil {
			return "", err
		}
		for _, t := range op.Targets {
			if t.SyncID == "" {
				continue
			}
			if _, err := api.Sync(ctx, t.SyncID); err == nil {
				return t.SyncID, nil
			} else if !rest.NotFound(err) {
				return "", err
			}
		}
		if op.Status != "running" {
			return "", rest.OperationError(op)
		}
		if err := rest.Sleep(ctx, api.Poll); err != nil {
			return "", err
		}
	}
}

// runningSync returns the id of the running sync of a source, "" for none.
func (c *Client) runningSync(ctx context.Context, scope, source string) (string, error) {
	syncs, err := rest.Fetch[[]rest.SyncDoc](ctx, c.Conn, c.Path("syncs"), url.Values{"scope": {scope}, "source_id": {source}, "status": {"running"}, "limit": {"1"}})
	if err != nil || len(syncs) == 0 {
		return "", err
	}
	return syncs[0].SyncID, nil
}

// StartSync starts a sync without waiting for it. It returns the operation's id,
// or "" if there was nothing to sync.
func (c *Client) StartSync(ctx context.Context, scope string, ids []string, options map[string]any) (string, error) {
	body := map[string]any{"scope": scope}
	if len(ids) > 0 {
		body["source_ids"] = ids
	}
	if len(options) > 0 {
		body["sync_options"] = options
	}
	a, err := c.Post(ctx, c.Path("sync"), body, "respond-async")
	if err != nil {
		return "", err
	}
	var accepted struct {
		OperationID string `json:"operation_id"`
	}
	if err := a.Into(&accepted); err != nil {
		return "", err
	}
	return accepted.OperationID, nil
}

// cancel cancels an operation and returns it after it has ended.
func (c *Client) cancel(ctx context.Context, id string) (rest.OperationDoc, error) {
	if _, err := c.Post(ctx, c.Path("operations", id, "cancel"), map[string]any{}, ""); err != nil {
		return rest.OperationDoc{}, err
	}
	return c.WaitOperation(ctx, id)
}

// syncAnswer returns the answer of POST sync, for --json.
func syncAnswer(op rest.OperationDoc, syncs []rest.SyncDoc) map[string]any {
	var records int64
	for _, sync := range syncs {
		records += sync.Records
	}
	if syncs == nil {
		syncs = []rest.SyncDoc{}
	}
	return map[string]any{"records_processed": records, "syncs": syncs, "operation_id": op.OperationID}
}

// printSyncs prints every table that was synced, and a line with the totals.
func printSyncs(s terminal.Streams, op rest.OperationDoc, syncs []rest.SyncDoc) error {
	var records, bytes, tables int64
	g := terminal.NewGrid("SOURCE", "TABLE", "STATUS", "MODE", "#ROWS", "#BYTES", "#TIME", "#ROWS/S")
	for _, sync := range syncs {
		for _, t := range sync.Tables {
			g.Add(sync.SourceName, rest.FullName(t.Namespace, t.Name), t.Status, t.Mode,
				terminal.Count(t.Records), terminal.Size(t.Bytes), terminal.Took(t.DurationMS), terminal.Rate(t.Records, t.DurationMS))
			tables++
		}
		records, bytes = records+sync.Records, bytes+sync.Bytes
	}
	if len(syncs) > 0 && tables == 0 && len(syncs) == len(op.Targets) && !slices.ContainsFunc(syncs, func(d rest.SyncDoc) bool { return d.Mode != "cdc" || d.Status != "completed" }) {
		_, err := fmt.Fprintln(s.Out, "what there was has landed, by the sync that goes on")
		return err
	}
	if err := g.Print(s.Out, "no table was synced"); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.Out, "%s, %s in %s of %s\n", terminal.Several(int(records), "row"), terminal.Size(bytes),
		terminal.Several(int(tables), "table"), terminal.Several(len(op.Targets), "source"))
	for _, sync := range syncs {
		for _, t := range sync.Tables {
			if t.Message != "" && t.Status == "completed" { // of another one its line said it
				s.Note("%s: %s: %s", terminal.Plain(sync.SourceName), terminal.Plain(rest.FullName(t.Namespace, t.Name)), flags.Said(t.Message))
			}
			for _, text := range t.Notes {
				s.Note("%s: %s: %s", terminal.Plain(sync.SourceName), terminal.Plain(rest.FullName(t.Namespace, t.Name)), flags.Said(text))
			}
		}
	}
	return err
}

// SyncError returns nil if everything was synced. Otherwise its error names
// every source that was not synced, and every failed table of the others.
func SyncError(op rest.OperationDoc, syncs []rest.SyncDoc) error {
	if err := rest.OperationError(op); err != nil {
		return err
	}
	return unsynced(syncs)
}

// unsynced returns an error that names the tables which were not synced, nil for none.
func unsynced(syncs []rest.SyncDoc) error {
	var lines []string
	for _, sync := range syncs {
		for _, t := range sync.Tables {
			if sync.Status != "completed" && t.Status != "completed" {
				lines = append(lines, flags.Said(fmt.Sprintf("%s: %s: %s: %s", sync.SourceName, rest.FullName(t.Namespace, t.Name), t.Status, t.Message)))
			}
		}
	}
	if lines == nil {
		return nil
	}
	return exit.With(exit.Partial, fmt.Errorf("%s not synced\n  %s", terminal.Several(len(lines), "table"), strings.Join(lines, "\n  ")))
}
