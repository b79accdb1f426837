package connectors

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"headwater/connectors/driver"
)

func TestSchemaMarksSecrets(t *testing.T) {
	d := registry(t, Options{}, newFake("x", "database", nil)).Describe()[0]
	var schema struct {
		AdditionalProperties *bool
		Required             []string
		Properties           map[string]struct {
			Secret     bool `json:"x-secret"`
			WriteOnly  bool
			Default    any
			Properties map[string]struct {
				Secret bool `json:"x-secret"`
			}
		}
	}
	if err := json.Unmarshal(d.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	if schema.AdditionalProperties == nil || *schema.AdditionalProperties || len(schema.Required) != 1 {
		t.Errorf("schema %s allows more keys or requires others than host", d.Schema)
	}
	for name, secret := range map[string]bool{"host": false, "port": false, "password": true, "auth": false, "extra": true, "rules": true, "tags": false} {
		if p := schema.Properties[name]; p.Secret != secret || p.WriteOnly != secret || secret && p.Default != nil {
			t.Errorf("%s: %+v, want secret %v and no default", name, p, secret)
		}
	}
	if auth := schema.Properties["auth"].Properties; auth["kind"].Secret || !auth["token"].Secret {
		t.Errorf("auth: %+v, want a secret token and a public kind", auth)
	}
}

func TestSplitAndMerge(t *testing.T) {
	r := registry(t, Options{}, newFake("x", "database", nil))
	in := `{"port":9007199254740993,"host":"h","password":"p","auth":{"kind":"k","token":"t"},"extra":{"note":"n"},"rules":[{"kind":"a"}],"tags":["b"],"mode":null,"driver":"x"}`
	in = strings.Replace(in, "9007199254740993", "5432", 1)
	public, secret, err := r.Split("x", json.RawMessage(in))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"auth":{"kind":"k"},"host":"h","port":5432,"tags":["b"]}`; string(public) != want {
		t.Errorf("public %s, want %s", public, want)
	}
	if want := `{"auth":{"token":"t"},"extra":{"note":"n"},"password":"p","rules":[{"kind":"a"}]}`; string(secret) != want {
		t.Errorf("secret %s, want %s", secret, want)
	}
	merged, err := merge(public, secret)
	if want := `{"auth":{"kind":"k","token":"t"},"extra":{"note":"n"},"host":"h","password":"p","port":5432,"rules":[{"kind":"a"}],"tags":["b"]}`; err != nil || string(merged) != want {
		t.Errorf("merged %s, %v; want %s", merged, err, want)
	}
}

func TestSplitNamesEveryWrongField(t *testing.T) {
	r := registry(t, Options{}, newFake("x", "database", nil))
	for in, want := range map[string]string{
		`{"host":"h","port":"s3cr3t"}`:         "connection_config.port must be of type integer, not string",
		`{"host":"h","port":70000}`:            "connection_config.port must be at most 65535",
		`{"host":""}`:                          "connection_config.host must not be empty",
		`{"host":"h","mode":"s3cr3t"}`:         "connection_config.mode must be one of a, b",
		`{"host":null}`:                        "connection_config.host is missing",
		`{"Password":"s3cr3t","port":0}`:       "connection_config.Password is not a setting of this connector; it takes auth, extra, host, mode, password, port, rules, tags; connection_config.host is missing; connection_config.port must be at least 1",
		`{"host":"h","auth":{"tok":"s3cr3t"}}`: "connection_config.auth.tok is not a setting of this connector; it takes kind, token",
		`{"host":"invalid"}`:                   "connection_config.host cannot be that one",
		`[1]`:                                  "connection_config must be an object with the connection's settings",
		`{"s3cr3t`:                             "connection_config is not valid JSON",
		``:                                     "connection_config.host is missing",
	} {
		_, _, err := r.Split("x", json.RawMessage(in))
		var wrong *ConfigError
		if !errors.As(err, &wrong) || !errors.Is(err, driver.ErrInvalidConfig) || err.Error() != want {
			t.Errorf("Split(%s):\n got %v\nwant %s", in, err, want)
		}
	}
}

func TestResolve(t *testing.T) {
	r := registry(t, Options{},
		newFake("postgresql", "database", func(s *driver.Spec) {
			s.Aliases, s.Schemes, s.Ports = []string{"postgres"}, []string{"postgres", "postgresql"}, []int{5432}
		}),
		newFake("mysql", "database", func(s *driver.Spec) {
			s.Aliases, s.Schemes, s.Ports = []string{"mariadb"}, []string{"mysql"}, []int{3306}
		}),
		newFake("sqlite", "database", func(s *driver.Spec) { s.Endings = []string{".sqlite", ".db"} }),
		newFake("file", "file", func(s *driver.Spec) { s.Aliases, s.Endings = []string{"csv"}, []string{".csv", ".csv.gz"} }),
		newFake("api", "api", func(s *driver.Spec) { s.Schemes = []string{"http", "https"} }),
	)
	for _, c := range []struct{ typ, config, want string }{
		{"postgresql", `{}`, "postgresql"},
		{" Postgres ", `{}`, "postgresql"},
		{"mariadb", `{"port":5432}`, "mysql"},
		{"csv", ``, "file"},
		{"database", `{"host":"h","port":5432}`, "postgresql"},
		{"database", `{"host":"h","port":3306}`, "mysql"},
		{"database", `{"host":"h","port":5432,"driver":"MariaDB"}`, "mysql"},
		{"database", `{"host":"h","databaseType":"postgres"}`, "postgresql"},
		{"database", `{"url":"mysql://h/d"}`, "mysql"},
		{"database", `{"host":"h:3306"}`, "mysql"},
		{"database", `{"path":"a/b.SQLITE"}`, "sqlite"},
		{"file", `{"path":"x.csv.gz"}`, "file"},
		{"file", `{"path":"x.db"}`, "sqlite"},
		{"file", `{"path":"x.unknown"}`, "file"},
		{"api", `{"base_url":"https://api.sales.com","api_key":"k"}`, "api"},
	} {
		if got, err := r.Resolve(c.typ, json.RawMessage(c.config)); got != c.want || err != nil {
			t.Errorf("Resolve(%s, %s) = %s, %v; want %s", c.typ, c.config, got, err, c.want)
		}
	}
	for _, c := range []struct{ typ, config, want string }{
		{"oracle", `{}`, `type "oracle" is not known: use one of api, csv, database, file, mariadb, mysql, postgres, postgresql, sqlite`},
		{"", `{}`, `type "" is not known`},
		{"database", `{"host":"h","port":1433}`, `one of mariadb, mysql, postgres, postgresql, sqlite`},
		{"database", `{"driver":"oracle"}`, `connection_config.driver names no known connector`},
		{"database", `{"`, `not valid JSON`},
	} {
		if got, err := r.Resolve(c.typ, json.RawMessage(c.config)); !errors.Is(err, driver.ErrInvalidConfig) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Resolve(%s, %s) = %s, %v; want an error with %s", c.typ, c.config, got, err, c.want)
		}
	}
	withDefault := registry(t, Options{},
		newFake("one", "database", func(s *driver.Spec) { s.Default = true }),
		newFake("two", "database", func(s *driver.Spec) { s.Ports = []int{3306} }))
	for config, want := range map[string]string{`{"host":"h"}`: "one", `{"host":"h","port":15432}`: "one", `{"host":"h","port":3306}`: "two", `{"path":"x"}`: ""} {
		if got, err := withDefault.Resolve("database", json.RawMessage(config)); got != want || (err == nil) != (want != "") {
			t.Errorf("with a default, Resolve(%s) = %s, %v; want %s", config, got, err, want)
		}
	}
	if _, err := New(Options{}, newFake("a", "api", nil), newFake("a", "api", nil)); err == nil {
		t.Error("two connectors took one name")
	}
}
