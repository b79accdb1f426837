package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"headwater/cmd/headwater/client/clienttest"
	"headwater/cmd/headwater/exit"
)

func TestHelp(t *testing.T) {
	t.Parallel() // it waits more than it computes
	for _, words := range []string{"sync", "webhooks create", ""} {
		asked := append([]string{"help"}, strings.Fields(words)...)
		out, errs, code := runProgram(t, nil, asked...)
		same, _, _ := runProgram(t, nil, append(strings.Fields(words), "--help")...)
		if code != 0 || out != same || !strings.Contains(out, "Usage: headwater "+words) {
			t.Errorf("help %s ended with %d:\n%s%s", words, code, out, errs)
		}
	}
	if _, errs, code := runProgram(t, nil, "help", "nothing"); code != exit.Usage || !strings.Contains(errs, "nothing") {
		t.Errorf("help of no command ended with %d: %s", code, errs)
	}
}

func TestVersionCommand(t *testing.T) {
	t.Parallel() // it waits more than it computes
	out, _, code := runProgram(t, nil, "version")
	if code != 0 || !strings.HasPrefix(out, "headwater ") || !strings.Contains(out, "\ncommit    ") || !strings.Contains(out, "\ngo        "+runtime.Version()+" ") {
		t.Errorf("version ended with %d: %s", code, out)
	}
	out, _, _ = runProgram(t, nil, "version", "--json")
	var told build
	if err := json.Unmarshal([]byte(out), &told); err != nil || told.Go != runtime.Version() {
		t.Errorf("version --json: %s, %v", out, err)
	}
	b := buildOf(&debug.BuildInfo{GoVersion: "go1", Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2026-01-01T00:00:00Z"}, {Key: "vcs.modified", Value: "true"}, {Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "amd64"}}})
	var said strings.Builder
	if err := b.print(&said); err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "version", said.String(), "headwater v1.2.3\ncommit    0123456789abcdef with changes 2026-01-01T00:00:00Z\ngo        go1 linux/amd64\n")
	said.Reset()
	if err := buildOf(&debug.BuildInfo{GoVersion: "go1"}).print(&said); err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "version without a commit", said.String(), "headwater devel\ncommit    unknown\ngo        go1\n")
}

// completed asks as the scripts do.
func completed(t *testing.T, env []string, words ...string) []string {
	t.Helper()
	out, errs, code := runHere(t, env, append([]string{"complete", "--"}, words...)...)
	if code != 0 || errs != "" {
		t.Errorf("complete %q ended with %d: %s", words, code, errs)
	}
	var found []string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		word, _, _ := strings.Cut(line, "\t")
		found = append(found, word)
	}
	return found
}

func TestCompletion(t *testing.T) {
	if got := completed(t, nil, "sync", "air"); len(got) != 1 || got[0] != "" {
		t.Errorf("without a service: %q", got)
	}
	api := clienttest.New(t, map[string]http.HandlerFunc{"GET /data/w1/list": clienttest.Says(clienttest.TwoSources)})
	env := []string{"HEADWATER_URL=" + api.URL, "HEADWATER_TOKEN=the-token", "HEADWATER_WORKSPACE=w1"}
	for _, c := range []struct{ words, want string }{
		{"li", "list"}, {"webhooks ro", "rotate"}, {"sync --on-repl", "--on-replaced"}, {"sync --on-replaced ", "restart stop"},
		{"sync --scope = o", "organization"}, {"list --scope us", "user"}, {"completion ", "bash zsh fish"}, {"sync --always air", "airports"},
		{"connect --config ", ""}, {"compl", "completion"},
	} {
		got := strings.Join(completed(t, env, strings.Split(c.words, " ")...), " ")
		if got != c.want {
			t.Errorf("%q becomes %q, want %q", c.words, got, c.want)
		}
	}
}

// The scripts are read by the shells they are for, and bash's is used.
func TestCompletionScripts(t *testing.T) {
	t.Parallel() // it waits more than it computes
	for _, shell := range []string{"bash", "zsh", "fish"} {
		script, _, code := runProgram(t, nil, "completion", shell)
		if code != 0 || !strings.Contains(script, "complete -- ") {
			t.Errorf("completion %s ended with %d: %s", shell, code, script)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			if os.Getenv("HEADWATER_TEST_REQUIRE") != "" {
				t.Errorf("%s is needed to check its script: apt-get install %s", shell, shell)
			}
			continue
		}
		if shell == "bash" {
			script += "\nCOMP_WORDS=(" + os.Args[0] + " sync --on-replaced st)\nCOMP_CWORD=3\n_headwater\necho \"found ${COMPREPLY[*]}\"\n"
		}
		if shell == "zsh" { // _describe and compdef are there once zsh completes
			script = "compdef() { }\n_describe() { print found $found }\nwords=(" + os.Args[0] + " sync --on-replaced st)\nCURRENT=4\n" + script + "\n_headwater\n"
		}
		if shell == "fish" {
			script += "\nfunction commandline\n  if test $argv[1] = -opc\n    printf '%s\\n' " + os.Args[0] + " sync --on-replaced\n  else\n    echo st\n  end\nend\necho found (__headwater)\n"
		}
		cmd := exec.Command(path)
		cmd.Stdin = strings.NewReader(script)
		cmd.Env = programEnv("HOME=" + t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "found stop") {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}
