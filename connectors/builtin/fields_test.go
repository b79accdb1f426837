package builtin_test

import (
	"encoding/json"
	"errors"
	"testing"

	"headwater/connectors"
	"headwater/connectors/builtin"
)

// What a connector finds wrong with its settings, beyond what their schema says,
// names the setting as a value: nobody looks for it in the sentence.
func TestWrongSettingsNameTheirField(t *testing.T) {
	r, err := connectors.New(connectors.Options{}, builtin.Drivers()...)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, c := range []struct{ typ, config, field, message string }{
		{"postgresql", `{"host":"h","database":"d"}`, "username", "is missing"},
		{"postgresql", `{"host":"h","database":"d","username":"u","column_types":{"amount":"json"}}`, "column_types.amount", "must be string or decimal(precision,scale)"},
		{"postgresql", `{"host":"h","database":"d","username":"u","encoding":"morse"}`, "encoding", `"morse" is no known encoding; windows-1252, iso-8859-2 or shift_jis are`},
		{"postgresql", `{"host":"h","database":"d","username":"u","client_key":"k"}`, "client_certificate", "is missing: client_key is of no use without it"},
		{"mysql", `{"host":"h","database":"d","username":"u","user":"v"}`, "username", "and connection_config.user differ: give one"},
		{"mysql", `{"host":"h","database":"d","username":"u","column_types":{"amount":"json"}}`, "column_types.amount", "must be string"},
		{"sqlite", `{"path":"../x.db"}`, "path", `must be a relative path below the files root, without ".."`},
		{"csv", `{"path":"x.csv","delimiter":"\n"}`, "delimiter", "must be up to 16 characters of one line, such as \",\" or \"||\""},
		{"csv", `{"path":"x.csv","date_format":"%Q"}`, "date_format", ""},
		{"api", `{"base_url":"https://u:p@api.example.com"}`, "base_url", "must hold no user and password; put them into username and password, where they are kept secret"},
		{"database", `{"driver":"abacus"}`, "driver", ""},
		{"database", `{}`, "", ""},
		{"csv", `{"path":"x.csv","column_types":{"a":"money"}}`, "column_types", ""},
	} {
		name, err := r.Resolve(c.typ, json.RawMessage(c.config))
		if err == nil {
			_, _, err = r.Split(name, json.RawMessage(c.config))
		}
		var wrong *connectors.ConfigError
		if !errors.As(err, &wrong) || len(wrong.Fields) != 1 || wrong.Fields[0].Field != c.field || c.message != "" && wrong.Fields[0].Message != c.message {
			t.Errorf("%s %s: %v (%+v), want %s %s", c.typ, c.config, err, wrong, c.field, c.message)
		}
	}
	var kind *connectors.TypeError
	if _, err := r.Resolve("abacus", nil); !errors.As(err, &kind) || err.Error() != "type "+kind.Message {
		t.Errorf("a type that is not known: %v", err)
	}
}
