package bustest

import (
	"os"
	"path/filepath"
	"testing"
)

// Tool returns the path of a file that .ci/tools installs in its cache folder.
// If it is missing the test is skipped, or fails where nothing may be missing.
func Tool(t testing.TB, place ...string) string {
	t.Helper()
	tools := os.Getenv("HEADWATER_TEST_TOOLS")
	if tools == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		tools = filepath.Join(cache, "headwater-tools")
	}
	path := filepath.Join(append([]string{tools}, place...)...)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if os.Getenv("CI") != "" || os.Getenv("HEADWATER_TEST_REQUIRE") != "" {
		t.Fatalf("%s is not there: run .ci/tools", path)
	}
	t.Skipf("%s is not there: run .ci/tools", path)
	return ""
}

// Nats returns the path of the nats command line.
func Nats(t testing.TB) string { return Tool(t, "natscli-v0.5.1", "nats") }
