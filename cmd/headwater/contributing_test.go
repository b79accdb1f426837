package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"headwater/bus/event"
)

var (
	fences    = regexp.MustCompile("(?ms)^```.*?^```$")
	codeSpans = regexp.MustCompile("`([^`\n]+)`")
	links     = regexp.MustCompile(`\]\(([^)#\s]+)\)`)
	// A path of the tree, alone or with what stands in it: "api/routes.go: table",
	// "bus/event: TestGolden, TestParse".
	named = regexp.MustCompile(`^([.\w][\w.-]*(?:/[\w.-]+)*/?)(?:: (\w+(?:, \w+)*))?$`)
)

// TestContributing holds that what the documents for contributors and operators
// name is there: paths, what stands in them, tests, and targets of make.
func TestContributing(t *testing.T) {
	const root = "../.."
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for document, least := range map[string]int{"CONTRIBUTING.md": 60, "SECURITY.md": 15, "CHANGELOG.md": 1} {
		text, err := os.ReadFile(filepath.Join(root, ".github", document))
		if err != nil {
			t.Fatal(err)
		}
		prose := fences.ReplaceAllString(string(text), "")
		for _, link := range links.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, ".github", link[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", document, link[1])
			}
		}
		held := 0
		for _, span := range codeSpans.FindAllStringSubmatch(prose, -1) {
			if target, ok := strings.CutPrefix(span[1], "make "); ok {
				if held++; !strings.Contains(string(makefile), "\n"+target+":") {
					t.Errorf("%s names make %s, which is not there", document, target)
				}
				continue
			}
			parts := named.FindStringSubmatch(span[1])
			if parts == nil || !isPath(root, parts[1], parts[2]) {
				continue
			}
			held++
			for _, wrong := range missing(t, root, parts[1], parts[2]) {
				t.Errorf("%s names `%s`: %s", document, span[1], wrong)
			}
		}
		if held < least {
			t.Errorf("%s: only %d names were held against the tree, want %d: is the form another one?", document, held, least)
		}
	}
}

// isPath reports whether a span means something of the tree, and not a key of a
// data directory or a placeholder.
func isPath(root, path, within string) bool {
	if strings.Contains(path, "NAME") || strings.Contains(path, "NOUN") || path == "path" || strings.HasPrefix(path, "keys/") {
		return false
	}
	if within != "" || strings.Contains(path, "/") {
		return true
	}
	switch filepath.Ext(path) {
	case ".go", ".yaml", ".conf":
		return true
	}
	info, err := os.Stat(filepath.Join(root, path))
	return err == nil && info.IsDir()
}

// missing returns what of a path, and of what is to stand in it, is not there.
func missing(t *testing.T, root, path, within string) (wrong []string) {
	t.Helper()
	path = filepath.Join(root, path)
	info, err := os.Stat(path)
	if err != nil {
		return []string{"there is no such path"}
	}
	if within == "" {
		return nil
	}
	var source []byte
	if !info.IsDir() {
		if source, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	for name := range strings.SplitSeq(within, ", ") {
		switch {
		case info.IsDir() && !hasTest(t, path, name):
			wrong = append(wrong, "it has no test "+name)
		case !info.IsDir() && !regexp.MustCompile(`\b`+name+`\b`).Match(source):
			wrong = append(wrong, "it does not hold "+name)
		}
	}
	return wrong
}

// TestEveryEventIsInTheReadme holds that the table of events that people read is
// whole.
func TestEveryEventIsInTheReadme(t *testing.T) {
	text, err := os.ReadFile("../../bus/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range event.All() {
		if !regexp.MustCompile("(?m)^\\|.*`" + d.EventName() + "`.*\\|$").Match(text) {
			t.Errorf("bus/README.md: the table of events lacks %s", d.EventName())
		}
	}
}
