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
	"headwater/handlers/extract"
)

// sharedName matches the names that --files-shared may have.
var sharedName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// filesOf returns the owner of the files root in the form of connectors.Options.
func (c *Config) filesOf() string {
	if c.FilesOf == "" || c.FilesOf == connectors.Each {
		return c.FilesOf
	}
	return event.Token(c.FilesOf)
}

// filesPlace describes for people where local files are.
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

// introducer records in the files root which organizations have opened sources.
// The root belongs to one organization alone until a second one opens a source.
type introducer struct {
	extract.Opener
	root string
	log  *slog.Logger
	seen sync.Map // by organization
}

// introduce records an organization, once.
func (n *introducer) introduce(organization string) {
	if _, known := n.seen.LoadOrStore(organization, true); known {
		return
	}
	if _, err := connectors.Introduce(n.root, organization, false); err != nil {
		n.log.Warn("cannot note whose files the files root holds: give it to one organization or to each with --files-of", "error", err)
	}
}

// Open records the organization and opens its source.
func (n *introducer) Open(ctx context.Context, of, connector string, public, secret json.RawMessage, limits driver.Limits) (extract.Session, error) {
	n.introduce(extract.OrganizationOf(of))
	return n.Opener.Open(ctx, of, connector, public, secret, limits)
}

// introducing returns connectors that record organizations, and records those
// that the read model knows. With --files-of it returns opened unchanged.
func (c *Config) introducing(opened extract.Opener, organizations func() ([]string, error), log *slog.Logger) (extract.Opener, error) {
	if c.FilesOf != "" {
		return opened, nil
	}
	known, err := organizations()
	if err != nil {
		return nil, err
	}
	n := &introducer{Opener: opened, root: c.FilesRoot, log: log}
	for _, organization := range known {
		n.introduce(event.Token(organization))
	}
	return n, nil
}
