package settings

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headwater/cmd/headwater/client/clienttest"
)

func TestConnectionConfig(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.json")
	key := filepath.Join(dir, "key")
	for path, text := range map[string]string{file: `{"host":"db","port":5432}`, key: "from a file\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		config, secret []string
		want           string // the JSON, or part of the error after "!"
	}{
		{[]string{"host=db", "port=5432", "ssl=true", `zip="01234"`, "name=a=b,c", "empty="}, nil,
			`{"empty":"","host":"db","name":"a=b,c","port":5432,"ssl":true,"zip":"01234"}`},
		{[]string{"id=9007199254740993", "day=2024-01-01", "word=nullable"}, nil,
			`{"day":"2024-01-01","id":9007199254740993,"word":"nullable"}`},
		{[]string{"@" + file, "port=5433"}, nil, `{"host":"db","port":5433}`},
		{[]string{`{"host":"x","headers":{"a":"b"}}`}, []string{"password=env:PASSWORD"},
			`{"headers":{"a":"b"},"host":"x","password":"from the environment"}`},
		{nil, []string{"api_key=file:" + key}, `{"api_key":"from a file"}`},
		{nil, []string{"password=-"}, `{"password":"12 typed"}`},
		{[]string{"hunter2"}, nil, "!--config: want FIELD=VALUE, a JSON object or @FILE"},
		{[]string{`{"a":1} {"b":2}`}, nil, "!--config: no JSON object could be read"},
		{[]string{"@" + key}, nil, "!--config: no JSON object could be read"},
		{nil, []string{"password=hunter2"}, "!--secret password: want env:NAME, file:PATH or -"},
		{nil, []string{"password=env:NOWHERE"}, "!--secret password: the variable NOWHERE is not set"},
	} {
		s, _, _ := clienttest.Streams("12 typed\nnot this\n")
		config, err := SourceFlags{Config: test.config, Secret: test.secret}.Settings(s)
		if want, wrong := strings.CutPrefix(test.want, "!"); wrong {
			if err == nil || err.Error() != want {
				t.Errorf("%q %q: got error %v, want %s", test.config, test.secret, err, want)
			}
			continue
		}
		got, _ := json.Marshal(config)
		if err != nil || string(got) != test.want {
			t.Errorf("%q %q: got %s, %v, want %s", test.config, test.secret, got, err, test.want)
		}
	}
	s, _, _ := clienttest.Streams("")
	if _, err := (SourceFlags{Secret: []string{"password=-"}}).Settings(s); err == nil {
		t.Error("an empty standard input passed for a password")
	}
}
