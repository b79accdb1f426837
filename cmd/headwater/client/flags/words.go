// Package flags holds the options of a sync as flags, and translates the field names in
// the service's messages into the flags that the user typed. It knows no service.
package flags

import (
	"regexp"
	"strings"

	"headwater/cmd/headwater/terminal"
)

// The service names fields of requests; the user of a command knows flags.
// Messages of the service are therefore translated.

// flagOf maps each sync option to its flag.
var flagOf = map[string]string{
	"mode": "--mode", "incremental": "--incremental", "tables": "--table", "batch_size": "--batch-size", "cursor_columns": "--cursor-column",
	"merge": "--merge", "deleted_columns": "--deleted-column", "exclude": "--exclude", "columns": "--exclude", "key_columns": "--key-column",
	"lookback": "--lookback", "parallelism": "--parallelism", "reset": "--reset", "start_from": "--start-from", "timeout": "--timeout",
	"table_timeout": "--table-timeout", "idle_timeout": "--idle-timeout", "on_replaced": "--on-replaced", "maintenance": "--maintenance", "on_columns_changed": "--on-columns-changed",
	"max_delay": "--max-delay", "changes": "--changes", "soft_delete": "--soft-delete", "lag_warn_bytes": "--lag-warn-bytes", "lag_limit_bytes": "--lag-limit-bytes",
	"always": "--always", "allow_empty": "--allow-empty",
}

// fieldWords are patterns of field names in messages, and their translations.
// They apply in this order.
var fieldWords = []struct {
	pattern *regexp.Regexp
	words   func(parts []string) string
}{
	{regexp.MustCompile(`(?:sources\[\d+\]\.)?sync\.([a-z_]+)(?:\.([^\s:;,]+))?`), func(p []string) string { return "--sync-options " + joinWords(p[1], p[2]) }},
	{regexp.MustCompile(`sync_options\.(reset|tables|exclude):? \["([^"]*)"\]`), func(p []string) string { return flagOf[p[1]] + " '" + p[2] + "'" }},
	{regexp.MustCompile(`sync_options\.([a-z_]+)(?:\.([^\s:;,]*[^\s:;,.]))?`), func(p []string) string {
		if flag := flagOf[p[1]]; flag != "" {
			return joinWords(flag, p[2])
		}
		return p[1]
	}},
	{regexp.MustCompile(`connection_config\.([a-z_]+)\.([^\s"'\\:;,](?:[^"'\\:;,]*?)) to ("[^"'\\]*"|true|false|-?\d+)`), func(p []string) string { return `--config '` + p[1] + `={"` + p[2] + `":` + p[3] + `}'` }},
	{regexp.MustCompile(`(?:sources\[\d+\]\.|source_config\.)?connection_config(?:\.([^\s:;,]*[^\s:;,.]))?`), func(p []string) string { return joinWords("--config", p[1]) }},
	{regexp.MustCompile(`(?:sources\[\d+\]|source_config)\.(name|type|metadata)\b`), func(p []string) string { return "--" + p[1] }},
	{regexp.MustCompile(`sources\[\d+\]: ?`), func([]string) string { return "" }},
	{regexp.MustCompile(`source_ids\[\d+\]: ?`), func([]string) string { return "" }},
	{regexp.MustCompile(`or give this one another name with names`), func([]string) string { return "or give this one another name with --rename" }},
	{regexp.MustCompile(`^names\.\S+: `), func([]string) string { return "--rename: " }},
	{regexp.MustCompile(`^(as_of|scope|type|status|limit|after|since|table|workspace)(?:s|_id)?(: | must )`), func(p []string) string {
		return "--" + strings.ReplaceAll(p[1], "_", "-") + p[2]
	}},
}

func joinWords(a, b string) string { return strings.TrimSpace(a + " " + b) }

// Said returns a message of the service on one line, with flags in place of
// fields.
func Said(text string) string {
	text = terminal.Plain(text)
	for _, f := range fieldWords {
		text = f.pattern.ReplaceAllStringFunc(text, func(found string) string {
			return f.words(f.pattern.FindStringSubmatch(found))
		})
	}
	return text
}
