// Package connectors is what callers hold of a source: a Registry that knows
// every driver, judges configurations and keeps secrets apart, and a Conn that
// adds time limits, error kinds and scrubbing around a driver's Source.
package connectors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"headwater/connectors/driver"
)

// Options are what every connection of a Registry shares.
type Options struct {
	Egress    Policy // which addresses sources may be reached at
	FilesRoot string // below which all local files lie; "" is none
	// FilesOf is the organization, in the form that subjects have, whose the whole
	// of FilesRoot is, Each for a folder each, or "": the root is the first one's
	// until another comes, see Introduce.
	FilesOf     string
	FilesShared string // a folder in it that all may read, under that name; "" for none
	Timeouts    Timeouts
	Log         *slog.Logger // for the operator; nil discards
	// OpenOnly leaves out what Describe and Split need, which takes most of the time
	// that New takes: a process that opens one source is given settings that were
	// split before. Split is then an error, and a Description has no Schema.
	OpenOnly bool
}

// Registry is the set of drivers. It is safe for concurrent use.
type Registry struct {
	drivers []*entry // sorted by name
	byName  map[string]*entry
	options Options
	files   filesRoot
}

// entry is one driver with what was made of its Spec.
type entry struct {
	driver   driver.Driver
	spec     driver.Spec
	settings *settings // nil where Options.OpenOnly is set
}

// New returns the registry of the drivers. It fails when two drivers claim one
// name or a driver's settings make no JSON Schema. The caller closes it.
func New(o Options, drivers ...driver.Driver) (*Registry, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Timeouts = o.Timeouts.withDefaults()
	r := &Registry{byName: map[string]*entry{}, options: o}
	for _, d := range drivers {
		spec := d.Spec()
		e := &entry{driver: d, spec: spec}
		if !o.OpenOnly {
			var err error
			if e.settings, err = newSettings(spec); err != nil {
				return nil, fmt.Errorf("connector %s: %w", spec.Name, err)
			}
		}
		r.drivers = append(r.drivers, e)
		for _, name := range append([]string{spec.Name}, spec.Aliases...) {
			if other, taken := r.byName[name]; taken {
				return nil, fmt.Errorf("connectors %s and %s both claim the name %q", other.spec.Name, spec.Name, name)
			}
			r.byName[name] = e
		}
	}
	slices.SortFunc(r.drivers, func(a, b *entry) int { return strings.Compare(a.spec.Name, b.spec.Name) })
	var err error
	r.files, err = newFilesRoot(o)
	return r, err
}

// Close does nothing yet: connections are closed by who opened them.
func (r *Registry) Close() error { return nil }

// Description is what a caller may know of a connector.
type Description struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
	Class   string   `json:"class"`
	Title   string   `json:"title"`
	Changes bool     `json:"changes"` // mode cdc can be had
	// Schema is the JSON Schema (2020-12) of connection_config. Secret fields
	// have "x-secret": true and "writeOnly": true.
	Schema json.RawMessage `json:"schema"`
}

// Describe returns every connector, sorted by name.
func (r *Registry) Describe() []Description {
	all := make([]Description, len(r.drivers))
	for i, e := range r.drivers {
		all[i] = Description{
			Name: e.spec.Name, Aliases: append([]string{}, e.spec.Aliases...), Class: e.spec.Class, Title: e.spec.Title, Changes: e.spec.Changes,
		}
		if e.settings != nil {
			all[i].Schema = bytes.Clone(e.settings.document)
		}
	}
	return all
}

// find returns the connector of a name that Resolve has returned.
func (r *Registry) find(connector string) (*entry, error) {
	if e, ok := r.byName[connector]; ok {
		return e, nil
	}
	return nil, driver.E(driver.ErrUnsupported, nil, "connector %q is not known; known are %s", connector, r.names(""))
}

// Open opens a source with the two halves that Split returned. The organization,
// in the form that subjects have, decides which local files there are. The error
// is a scrubbed *driver.Error. The caller closes the Conn.
func (r *Registry) Open(ctx context.Context, organization, connector string, public, secret json.RawMessage, limits driver.Limits) (*Conn, error) {
	e, err := r.find(connector)
	if err != nil {
		return nil, err
	}
	merged, err := merge(public, secret)
	if err != nil {
		return nil, err
	}
	limits = limits.WithDefaults()
	d := &dialer{policy: r.options.Egress, log: r.options.Log, idle: limits.Idle}
	c := &Conn{scrubber: newScrubber(secret), timeouts: r.options.Timeouts, limits: limits}
	if c.files, err = r.files.view(organization); err != nil {
		r.options.Log.ErrorContext(ctx, "the files root cannot be opened", "error", err)
		return nil, driver.E(driver.ErrPermission, nil, "the server cannot open its files root")
	}
	err = c.guard(ctx, "opening the source", c.timeouts.Open, func(ctx context.Context) error {
		c.source, err = e.driver.Open(ctx, driver.Config{Settings: merged, Dial: d.dial, Files: c.files, Limits: limits, Log: r.options.Log.With("connector", e.spec.Name)})
		return err
	})
	if err != nil {
		_ = c.files.close()
		return nil, err
	}
	return c, nil
}
