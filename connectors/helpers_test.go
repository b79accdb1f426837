package connectors

import (
	"context"
	"encoding/json"
	"iter"
	"testing"

	"headwater/connectors/driver"
)

// fake is a driver and a source made of functions.
type fake struct {
	spec     driver.Spec
	open     func(context.Context, driver.Config) error
	check    func(context.Context) error
	steps    func(context.Context) ([]driver.Step, error)
	discover func(context.Context) ([]driver.Table, error)
	read     func(context.Context, driver.Table, driver.Cursor) iter.Seq2[driver.Batch, error]
	closing  func() error
	config   driver.Config
}

type fakeSettings struct {
	Host     string   `json:"host" public:"true" jsonschema:"required,minLength=1"`
	Port     int      `json:"port,omitempty" public:"true" jsonschema:"minimum=1,maximum=65535"`
	Mode     string   `json:"mode,omitempty" public:"true" jsonschema:"enum=a,enum=b"`
	Password string   `json:"password,omitempty" jsonschema:"default=hunter2"`
	Auth     fakeAuth `json:"auth,omitzero" public:"true"`
	Extra    struct { // not declared public: a secret as a whole
		Note string `json:"note,omitempty" public:"true"`
	} `json:"extra,omitzero"`
	Rules []fakeAuth `json:"rules,omitempty" public:"true"`
	Tags  []string   `json:"tags,omitempty" public:"true"`
}

type fakeAuth struct {
	Kind  string `json:"kind,omitempty" public:"true"`
	Token string `json:"token,omitempty"`
}

func (s *fakeSettings) Validate() error {
	if s.Host == "invalid" {
		return driver.InvalidField("host", "cannot be that one")
	}
	return nil
}

func newFake(name, class string, change func(*driver.Spec)) *fake {
	f := &fake{spec: driver.Spec{Name: name, Class: class, Title: name, Settings: &fakeSettings{}}}
	if change != nil {
		change(&f.spec)
	}
	return f
}

func (f *fake) Spec() driver.Spec { return f.spec }

func (f *fake) Open(ctx context.Context, cfg driver.Config) (driver.Source, error) {
	f.config = cfg
	if f.open != nil {
		if err := f.open(ctx, cfg); err != nil {
			return nil, err
		}
	}
	if f.steps != nil {
		return stepping{f}, nil
	}
	return f, nil
}

func (f *fake) Check(ctx context.Context) error                      { return f.check(ctx) }
func (f *fake) Discover(ctx context.Context) ([]driver.Table, error) { return f.discover(ctx) }
func (f *fake) Read(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	return f.read(ctx, t, from)
}

func (f *fake) Close() error {
	if f.closing != nil {
		return f.closing()
	}
	return nil
}

// stepping adds driver.Stepper.
type stepping struct{ *fake }

func (s stepping) CheckSteps(ctx context.Context) ([]driver.Step, error) { return s.steps(ctx) }

func registry(t *testing.T, o Options, drivers ...driver.Driver) *Registry {
	t.Helper()
	r, err := New(o, drivers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func open(t *testing.T, f *fake, secret string) *Conn {
	t.Helper()
	c, err := registry(t, Options{}, f).Open(t.Context(), "acme", f.spec.Name, json.RawMessage(`{"host":"h"}`), json.RawMessage(secret), driver.Limits{MaxBytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
