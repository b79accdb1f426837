package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headwater/bus/bustest"
)

// TestReadmeSubscribes runs the README's lines for the nats command line, as
// they stand but for the ports, against the program in a process of its own:
// one follows what happens while a source is connected, synced and removed, the
// others replay what did.
func TestReadmeSubscribes(t *testing.T) {
	t.Parallel() // it waits more than it computes
	nats := bustest.Nats(t)
	dir := readmeDir(t)
	if err := os.Symlink(nats, filepath.Join(dir, "nats")); err != nil {
		t.Fatal(err)
	}
	listen, broker := freePort(t), freePort(t)
	p := startProcess(t, filepath.Join(dir, "headwater-data"), listen, "--nats-listen", broker)
	defer p.kill()
	airports, err := os.ReadFile("demodata/airports.csv")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "headwater-data", "files", "airports.csv"), airports, 0o600); err != nil {
		t.Fatal(err)
	}

	env := []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir, "HEADWATER_URL=http://" + listen}
	sh := func(script string) *exec.Cmd {
		cmd := exec.Command("sh", "-eux")
		cmd.Dir, cmd.Env, cmd.Stdin = dir, env, strings.NewReader(strings.ReplaceAll(script, "127.0.0.1:4222", broker))
		return cmd
	}
	run := func(script string) string {
		t.Helper()
		out, err := sh(script).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s\nthe service said:\n%s", err, out, p.log.Bytes())
		}
		return string(out)
	}
	printed, err := sh("./headwater token --org acme --user ada").Output()
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(printed))
	env = append(env, "HEADWATER_TOKEN="+token)

	// Live, in the environment that the other lines set up.
	lines := blocks(t, "sh nats")
	setup, _, _ := strings.Cut(lines, "\n")
	follow := sh(setup + "\nexec " + blocks(t, "sh nats live"))
	var said lockedBuffer
	follow.Stdout, follow.Stderr = &said, &said
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = follow.Process.Kill()
		_ = follow.Wait()
	}()
	sees := func(what string) {
		t.Helper()
		deadline := time.Now().Add(testLimit)
		for !strings.Contains(string(said.Bytes()), what) {
			if time.Now().After(deadline) {
				t.Fatalf("nats did not show %s:\n%s", what, said.Bytes())
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	sees("Subscribing on")
	run("./headwater connect --type file --config path=airports.csv --name airports\n./headwater sync airports")
	for _, event := range []string{"SourceConnected", "SchemaDiscovered", "SyncStarted", "SyncProgressed", "SyncCompleted"} {
		sees("." + event)
	}

	out := run(lines)
	for what, want := range map[string]string{
		"from the first": "seq: 1 / pending", "by type": "ce-type: headwater.SyncCompleted.v1", "its data": `"records_processed":3376`,
		"the durable's first": "cons seq: 1 / str seq: 1 /", "its second": "cons seq: 2 /", "its place": "Acknowledgment Floor: Consumer sequence: 2 ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%s: the output lacks %q:\n%s", what, want, out)
		}
	}
	run("./headwater cleanup --yes airports")
	sees(".SourceRemoved")
	if at := os.Getenv("HEADWATER_TEST_SESSION"); at != "" {
		session := "$ " + blocks(t, "sh nats live") + string(said.Bytes())
		if err := os.WriteFile(at, []byte(strings.ReplaceAll(session, token, "$HEADWATER_TOKEN")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
