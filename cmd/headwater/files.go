package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"regexp"
	"sync"

	"headwater/bus/event"
	"headwater/connectors"
	"headwater/connectors/driver"
	"headwater/handlers"
	"headwater/handlers/extract"
)

// sharedName is what --files-shared may be.
var sharedName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// filesOf returns whose the files root is, as connectors.Options take it.
func (c *Config) filesOf() string {
	if c.FilesOf == "" || c.FilesOf == connectors.Each {
		return c.FilesOf
	}
	return event.Token(c.FilesOf)
}

// filesPlace says for people where local files lie.
func (c *Config) filesPlace() string {
	root := absolute(c.FilesRoot)
	switch {
	case c.FilesOf == connectors.Each:
		return filepath.Join(root, "<organization>")
	case c.FilesOf != "":
		return root + " (" + c.FilesOf + "'s)"
	}
	return root + " (of more than one organization: in a folder each)"
}

// newcomers notes in the files root which organizations have opened sources: it
// is one organization's own only until another comes.
type newcomers struct {
	handlers.Connectors
	root string
	log  *slog.Logger
	seen sync.Map // by organization
}

// meet notes that an organization has come, once.
func (n *newcomers) meet(organization string) {
	if _, known := n.seen.LoadOrStore(organization, true); known {
		return
	}
	if _, err := connectors.Introduce(n.root, organization, false); err != nil {
		n.log.Warn("cannot note whose files the files root holds: give it to one organization or to each with --files-of", "error", err)
	}
}

// Open opens a source of an organization that has come by then.
func (n *newcomers) Open(ctx context.Context, of, connector string, public, secret json.RawMessage, limits driver.Limits) (extract.Session, error) {
	n.meet(extract.OrganizationOf(of))
	return n.Connectors.Open(ctx, of, connector, public, secret, limits)
}

// greet returns connectors that note who comes, and notes who has come before
// that was noted. With --files-of there is nothing to note.
func (c *Config) greet(opened handlers.Connectors, organizations func() ([]string, error), log *slog.Logger) (handlers.Connectors, error) {
	if c.FilesOf != "" {
		return opened, nil
	}
	known, err := organizations()
	if err != nil {
		return nil, err
	}
	n := &newcomers{Connectors: opened, root: c.FilesRoot, log: log}
	for _, organization := range known {
		n.meet(event.Token(organization))
	}
	return n, nil
}
