package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// WebhooksCmd manages webhooks, the URLs that events are posted to.
type WebhooksCmd struct {
	Create WebhookCreateCmd `cmd:"" help:"Post events to a URL. The secret that signs them is printed once."`
	List   WebhookListCmd   `cmd:"" help:"List the webhooks of a workspace."`
	Show   WebhookShowCmd   `cmd:"" help:"Show one webhook, its position and its last delivery."`
	Test   WebhookTestCmd   `cmd:"" help:"Post a test event."`
	Rotate WebhookRotateCmd `cmd:"" help:"Create a new secret. For 24 h, the old one signs too."`
	Delete WebhookDeleteCmd `cmd:"" help:"Delete a webhook."`
}

type webhookClientDoc struct {
	ID          string       `json:"id"`
	URL         string       `json:"url"`
	Scope       string       `json:"scope"`
	Types       []string     `json:"types"`
	SourceID    string       `json:"source_id"`
	Description string       `json:"description"`
	CreatedAt   time.Time    `json:"created_at"`
	Secret      string       `json:"secret"`
	Delivery    *deliveryDoc `json:"delivery"`
}

type deliveryDoc struct {
	Position        uint64     `json:"position"`
	Pending         int64      `json:"pending"`
	LastDelivered   *uint64    `json:"last_delivered"`
	LastDeliveredAt *time.Time `json:"last_delivered_at"`
	Failures        int        `json:"consecutive_failures"`
	LastAttemptAt   *time.Time `json:"last_attempt_at"`
	LastReason      string     `json:"last_reason"`
	NextAttemptAt   *time.Time `json:"next_attempt_at"`
	Waiting         []struct {
		SourceID      string     `json:"source_id"`
		Sequence      uint64     `json:"sequence"`
		Failures      int        `json:"failures"`
		Reason        string     `json:"reason"`
		NextAttemptAt *time.Time `json:"next_attempt_at"`
	} `json:"waiting"`
}

// types returns the names of the events, for people.
func (d webhookClientDoc) types() string {
	if len(d.Types) == 0 {
		return "all"
	}
	return strings.Join(d.Types, ",")
}

// WebhookCreateCmd creates a webhook.
type WebhookCreateCmd struct {
	ClientFlags `embed:""`
	To          string   `arg:"" name:"url" help:"Where to post to, http or https."`
	Type        []string `help:"Only events of these names, such as SyncCompleted,SyncFailed."`
	Source      string   `help:"Only events of this source, by name or id."`
	After       *uint64  `help:"Only events after this sequence; 0 for all; default: new events only."`
	Description string   `help:"What it is for."`
}

// Run creates the webhook and prints its secret.
func (c *WebhookCreateCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	body := map[string]any{"scope": c.Scope, "url": c.To, "types": c.Type, "description": c.Description}
	if c.Source != "" {
		ids, err := api.sourceIDs(ctx, c.Scope, []string{c.Source})
		if err != nil {
			return err
		}
		body["source_id"] = ids[0]
	}
	if c.After != nil {
		body["after"] = *c.After
	}
	a, err := api.Post(ctx, api.Path("webhooks"), body, "")
	if err != nil {
		return err
	}
	return c.made(s, a)
}

// made prints a webhook with its secret, which is shown only once.
func (c *ClientFlags) made(s terminal.Streams, a rest.Answer) error {
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var doc webhookClientDoc
	if err := a.Into(&doc); err != nil {
		return err
	}
	s.Note("keep the secret: it is not shown again")
	_, err := fmt.Fprintf(s.Out, "%s  %s\n", terminal.Plain(doc.ID), terminal.Plain(doc.Secret))
	return err
}

// WebhookListCmd lists webhooks.
type WebhookListCmd struct {
	ClientFlags `embed:""`
}

// Run prints the webhooks of the scope. An empty list is not an error.
func (c *WebhookListCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	a, err := api.Get(ctx, api.Path("webhooks"), url.Values{"scope": {c.Scope}})
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var all []webhookClientDoc
	if err := a.Into(&all); err != nil {
		return err
	}
	g := terminal.NewGrid("ID", "URL", "EVENTS", "SOURCE", "DESCRIPTION")
	for _, d := range all {
		source := d.SourceID
		if source == "" {
			source = "all"
		}
		g.Add(d.ID, d.URL, d.types(), source, d.Description)
	}
	return g.Print(s.Out, fmt.Sprintf("no webhooks with scope %s in workspace %s", c.Scope, c.Workspace))
}

// OneWebhook holds the arguments of commands about one webhook.
type OneWebhook struct {
	ClientFlags `embed:""`
	ID          string `arg:"" name:"id" help:"Id of the webhook, as 'webhooks list' shows it."`
}

// WebhookShowCmd shows one webhook.
type WebhookShowCmd struct {
	OneWebhook `embed:""`
}

// Run prints the webhook and its progress.
func (c *WebhookShowCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	a, err := api.Get(ctx, api.Path("webhooks", c.ID), nil)
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var doc webhookClientDoc
	if err := a.Into(&doc); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "%s  %s  events %s\n", terminal.Plain(doc.ID), terminal.Plain(doc.URL), terminal.Plain(doc.types()))
	d := doc.Delivery
	if d == nil {
		return nil
	}
	fmt.Fprintf(s.Out, "everything taken up to %d, %s to deliver\n", d.Position, terminal.Several(int(d.Pending), "event"))
	if d.LastDeliveredAt != nil && d.LastDelivered != nil {
		fmt.Fprintf(s.Out, "last taken: %d at %s\n", *d.LastDelivered, d.LastDeliveredAt.Local().Format(time.DateTime))
	}
	if d.Failures == 0 || d.LastAttemptAt == nil {
		return nil
	}
	fmt.Fprintf(s.Out, "%s in a row, the last at %s: %s\n", terminal.Several(d.Failures, "failure"), d.LastAttemptAt.Local().Format(time.DateTime), terminal.Plain(d.LastReason))
	g := terminal.NewGrid("SOURCE", "#SEQUENCE", "#FAILURES", "NEXT ATTEMPT", "REASON")
	for _, w := range d.Waiting {
		next := ""
		if w.NextAttemptAt != nil {
			next = w.NextAttemptAt.Local().Format(time.DateTime)
		}
		g.Add(w.SourceID, strconv.FormatUint(w.Sequence, 10), strconv.Itoa(w.Failures), next, w.Reason)
	}
	return g.Print(s.Out, "no source waits")
}

// WebhookTestCmd posts a test event.
type WebhookTestCmd struct {
	OneWebhook `embed:""`
}

// Run fails if the receiver did not accept the event.
func (c *WebhookTestCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	a, err := api.Post(ctx, api.Path("webhooks", c.ID, "test"), struct{}{}, "")
	if err != nil {
		return err
	}
	if c.JSON {
		err = terminal.PrintJSON(s, a.Data)
	} else if a.Status == "success" {
		_, err = fmt.Fprintln(s.Out, terminal.Plain(a.Message))
	}
	if a.Status != "success" {
		return errors.Join(err, exit.With(exit.Failed, errors.New(flags.Said(a.Message))))
	}
	return err
}

// WebhookRotateCmd replaces a webhook's secret.
type WebhookRotateCmd struct {
	OneWebhook `embed:""`
}

// Run prints the new secret.
func (c *WebhookRotateCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	a, err := api.Post(ctx, api.Path("webhooks", c.ID, "rotate"), struct{}{}, "")
	if err != nil {
		return err
	}
	return c.made(s, a)
}

// WebhookDeleteCmd deletes a webhook.
type WebhookDeleteCmd struct {
	OneWebhook `embed:""`
}

// Run deletes the webhook.
func (c *WebhookDeleteCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	a, err := api.Do(ctx, http.MethodDelete, api.Path("webhooks", c.ID), nil, "")
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	_, err = fmt.Fprintln(s.Out, "deleted "+terminal.Plain(c.ID))
	return err
}
