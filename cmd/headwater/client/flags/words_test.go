package flags

import (
	"reflect"
	"strings"
	"testing"
)

// Fields become flags, wherever they stand.
func TestWordsOfFlags(t *testing.T) {
	for text, want := range map[string]string{
		"sources[0].connection_config.port must be a number":                                  "--config port must be a number",
		"source_config.connection_config.host is missing":                                     "--config host is missing",
		"set connection_config.max_row_mib to 128 or more":                                    "set --config max_row_mib to 128 or more",
		"Set connection_config.column_types.amount to \"string\".":                            `Set --config 'column_types={"amount":"string"}'.`,
		"set connection_config.column_types.unit price to \"bytes\", which lands it":          `set --config 'column_types={"unit price":"bytes"}', which lands it`,
		"If it was, set connection_config.pagination.repeats_at_end to true":                  `If it was, set --config 'pagination={"repeats_at_end":true}'`,
		"set connection_config.column_types.it's to \"string\"":                               `set --config column_types.it's to "string"`,
		"raise connection_config.sample_rows. It was set to 5":                                "raise --config sample_rows. It was set to 5",
		"connection_config must be an object":                                                 "--config must be an object",
		"sync_options.cursor_columns.orders: there is no column x":                            "--cursor-column orders: there is no column x",
		"name it in sync_options.reset to start over, or set sync_options.on_replaced":        "name it in --reset to start over, or set --on-replaced",
		"the source sent nothing for 1m, the idle limit; sync_options.idle_timeout raises it": "the source sent nothing for 1m, the idle limit; --idle-timeout raises it",
		`the slot is gone: sync_options.reset: ["*"] reads the tables whole again`:            `the slot is gone: --reset '*' reads the tables whole again`,
		`lost; sync_options.reset ["public.a"] reads it whole again`:                          `lost; --reset 'public.a' reads it whole again`,
		"sources[2].name: must not be empty":                                                  "--name: must not be empty",
		"sources[0].sync.mode: is no mode":                                                    "--sync-options mode: is no mode",
		"as_of: lies in the future":                                                           "--as-of: lies in the future",
		"as_of must be a sequence above 0":                                                    "--as-of must be a sequence above 0",
		"workspace_id must be 1 to 64 letters":                                                "--workspace must be 1 to 64 letters",
		"types must name events":                                                              "--type must name events",
		"table airports has no column x":                                                      "table airports has no column x",
		"a table of 3 rows, as it was \x1b[2J":                                                "a table of 3 rows, as it was �[2J",
	} {
		if got := Said(text); got != want {
			t.Errorf("%q\nbecomes %q\nwant    %q", text, got, want)
		}
	}
}

// Every sync option that the service can name has a flag here, and every flag
// that is named is one.
func TestEverySyncOptionHasAFlag(t *testing.T) {
	flags := map[string]bool{}
	fields := reflect.TypeFor[SyncFlags]()
	for i := range fields.NumField() {
		name := fields.Field(i).Tag.Get("name")
		if name == "" {
			var dashed strings.Builder
			for at, c := range fields.Field(i).Name {
				if c >= 'A' && c <= 'Z' && at > 0 {
					dashed.WriteByte('-')
				}
				dashed.WriteString(strings.ToLower(string(c)))
			}
			name = dashed.String()
		}
		flags["--"+name] = true
	}
	for option, flag := range flagOf {
		if !flags[flag] {
			t.Errorf("%s is told as %s, which is no flag", option, flag)
		}
	}
	for flag := range flags {
		found := false
		for _, named := range flagOf {
			found = found || named == flag
		}
		if !found {
			t.Errorf("no option is told as %s", flag)
		}
	}
}
