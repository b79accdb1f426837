package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// TokensCmd creates, lists and revokes API tokens, which are for machines.
type TokensCmd struct {
	Create TokenCreateCmd `cmd:"" help:"Create a token for a machine, which acts for you until it expires or is revoked. It is printed once."`
	List   TokenListCmd   `cmd:"" help:"List your tokens; for an admin, those of the whole organization."`
	Revoke TokenRevokeCmd `cmd:"" help:"Revoke a token at once, on every node."`
}

type tokenClientDoc struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Role       string     `json:"role"`
	Workspaces []string   `json:"workspaces"`
	User       string     `json:"user"`
	Status     string     `json:"status"`
	ExpiresAt  time.Time  `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	Token      string     `json:"token"`
}

// places returns the workspaces of the token, for people.
func (d tokenClientDoc) places() string {
	if len(d.Workspaces) == 1 && d.Workspaces[0] == "*" {
		return "all"
	}
	return strings.Join(d.Workspaces, ",")
}

// TokenCreateCmd creates an API token.
type TokenCreateCmd struct {
	ClientFlags   `embed:""`
	Name          string        `arg:"" help:"What it is for, such as the machine's name."`
	Role          string        `enum:"viewer,editor,admin" default:"viewer" help:"Its role: viewer, editor or admin; at most your own."`
	For           []string      `name:"for" placeholder:"WORKSPACE" help:"Workspaces that it may use; default: that of --workspace."`
	AllWorkspaces bool          `help:"It may use all workspaces."`
	TTL           time.Duration `name:"ttl" default:"90d" help:"How long it is valid, such as 365d; five years at most."`
}

// Run creates the token and prints it, and nothing else, on Out.
func (c *TokenCreateCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	if c.TTL <= 0 {
		return exit.Usagef("--ttl must be longer than nothing")
	}
	body := map[string]any{"name": c.Name, "role": c.Role, "expires_at": time.Now().Add(c.TTL).UTC().Format(time.RFC3339)}
	switch {
	case c.AllWorkspaces && len(c.For) > 0:
		return exit.Usagef("--all-workspaces reaches those of --for, too; leave one of the two")
	case c.AllWorkspaces:
		body["workspaces"] = []string{"*"}
	case len(c.For) > 0:
		body["workspaces"] = c.For
	}
	a, err := api.Post(ctx, api.Path("tokens"), body, "")
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var doc tokenClientDoc
	if err := a.Into(&doc); err != nil {
		return err
	}
	s.Note("%s: %s, workspaces %s, until %s. Keep it: it is not shown again. 'headwater tokens revoke %s' ends it",
		terminal.Plain(doc.ID), doc.Role, terminal.Plain(doc.places()), doc.ExpiresAt.Format(time.DateOnly), terminal.Plain(doc.ID))
	_, err = fmt.Fprintln(s.Out, terminal.Plain(doc.Token))
	return err
}

// TokenListCmd lists API tokens.
type TokenListCmd struct {
	ClientFlags `embed:""`
	All         bool `help:"Also those that were revoked or have expired."`
}

// Run prints the tokens, newest first. An empty list is not an error.
func (c *TokenListCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	all, a, err := api.tokens(ctx, c.All)
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	g, now := terminal.NewGrid("ID", "NAME", "USER", "ROLE", "WORKSPACES", "STATUS", "EXPIRES", "LAST USED"), time.Now()
	for _, d := range all {
		used := "never"
		if d.LastUsedAt != nil {
			used = d.LastUsedAt.UTC().Format(time.DateOnly)
		}
		g.Add(d.ID, d.Name, d.User, d.Role, d.places(), d.Status, expiry(d.ExpiresAt, now), used)
	}
	return g.Print(s.Out, "no tokens")
}

// expiry is the day on which a token ends, with the time if that is within two days.
func expiry(at, now time.Time) string {
	if left := at.Sub(now).Abs(); left < 48*time.Hour {
		return at.UTC().Format("2006-01-02 15:04 UTC")
	}
	return at.UTC().Format(time.DateOnly)
}

// tokens returns the API tokens that the caller may see, and the answer as
// received.
func (c *Client) tokens(ctx context.Context, all bool) (found []tokenClientDoc, a rest.Answer, err error) {
	query := url.Values{}
	if all {
		query.Set("all", "true")
	}
	if a, err = c.Get(ctx, c.Path("tokens"), query); err == nil {
		err = a.Into(&found)
	}
	return found, a, err
}

// TokenRevokeCmd revokes an API token.
type TokenRevokeCmd struct {
	ClientFlags `embed:""`
	Which       string `arg:"" name:"id" help:"Its id, or its name where no other has it."`
}

// Run revokes the token. A token that is revoked already is not an error.
func (c *TokenRevokeCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	id := c.Which
	if !strings.HasPrefix(id, "tok_") {
		if id, err = api.tokenNamed(ctx, id); err != nil {
			return err
		}
	}
	a, err := api.Do(ctx, http.MethodDelete, api.Path("tokens", id), nil, "")
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	_, err = fmt.Fprintln(s.Out, flags.Said(a.Message))
	return err
}

// tokenNamed returns the id of the one active token with that name.
func (c *Client) tokenNamed(ctx context.Context, name string) (string, error) {
	all, _, err := c.tokens(ctx, false)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, d := range all {
		if d.Name == name {
			ids = append(ids, d.ID)
		}
	}
	switch len(ids) {
	case 0:
		return "", exit.With(exit.Refused, fmt.Errorf("no active token %q; 'headwater tokens list' shows which there are", name))
	case 1:
		return ids[0], nil
	}
	return "", exit.With(exit.Refused, fmt.Errorf("several tokens are called %q; give the id of one: %s", name, strings.Join(ids, ", ")))
}
