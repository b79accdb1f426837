package bus

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"headwater/bus/bustest"
)

// A person with the nats command line makes, reads, looks at, changes and
// removes consumers as a guest as on a plain server.
func TestClientCLI(t *testing.T) {
	t.Parallel()
	program := bustest.Nats(t)
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			command := func(ctx context.Context, args ...string) *exec.Cmd {
				cmd := exec.CommandContext(ctx, program, append([]string{"--server", s.address, "--timeout", "10s"}, args...)...)
				cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home)
				if s.guest {
					cmd.Env = append(cmd.Env, "NATS_USER=any", "NATS_PASSWORD=ada")
				}
				return cmd
			}
			nats := func(args ...string) string {
				t.Helper()
				out, err := command(t.Context(), args...).CombinedOutput()
				if err != nil {
					t.Errorf("nats %s: %v\n%s", strings.Join(args, " "), err, out)
				}
				return string(out)
			}
			// What goes on for ever is stopped when it has shown as much as it must.
			follow := func(args ...string) string {
				t.Helper()
				ctx, stop := context.WithTimeout(t.Context(), clientLimit)
				defer stop()
				cmd := command(ctx, args...)
				pipe, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				var out strings.Builder
				for lines := bufio.NewScanner(pipe); strings.Count(out.String(), "sync_id") < adasEventCount && lines.Scan(); {
					out.WriteString(lines.Text() + "\n")
				}
				stop()
				_ = cmd.Wait() // it was killed
				return out.String()
			}
			wants := func(out string, words ...string) {
				t.Helper()
				for _, w := range words {
					if !strings.Contains(out, w) {
						t.Errorf("no %s in\n%s", w, out)
					}
				}
			}
			all := func(out string) {
				t.Helper()
				var got []string
				for _, line := range strings.Split(out, "\n") {
					if _, id, ok := strings.Cut(line, `"sync_id":"`); ok {
						id, _, _ = strings.Cut(id, `"`)
						got = append(got, id)
					}
				}
				if want := []string{"adas_1", "adas_2", "adas_3", "adas_4", "adas_5"}; !slices.Equal(got, want) {
					t.Errorf("read %v in\n%s", got, out)
				}
			}
			nats("consumer", "add", StreamEvents, "pulled", "--pull", "--filter", adasEvents, "--deliver", "all", "--ack", "explicit", "--defaults")
			all(nats("consumer", "next", StreamEvents, "pulled", "--count", "5", "--raw"))
			nats("consumer", "add", StreamEvents, "pushed", "--target", "_INBOX.cli.pushed", "--filter", adasEvents, "--deliver", "all", "--ack", "explicit", "--replay", "instant", "--defaults")
			all(follow("consumer", "sub", StreamEvents, "pushed", "--raw"))
			nats("consumer", "add", StreamEvents, "subbed", "--target", "_INBOX.cli.subbed", "--filter", adasEvents, "--deliver", "all", "--ack", "explicit", "--replay", "instant", "--deliver-group", "g", "--defaults")
			all(nats("sub", adasEvents, "--stream", StreamEvents, "--all", "--raw", "--count", "5"))
			all(nats("sub", "--stream", StreamEvents, "--durable", "subbed", "--ack", "--raw", "--count", "5"))
			wants(nats("consumer", "info", StreamEvents, "pushed"), "_INBOX.cli.pushed", adasEvents)
			nats("consumer", "edit", StreamEvents, "pulled", "--description", "what Ada pulls", "--force")
			wants(nats("consumer", "info", StreamEvents, "pulled"), "what Ada pulls")
			nats("consumer", "pause", StreamEvents, "pulled", "1h", "--force")
			nats("consumer", "resume", StreamEvents, "pulled", "--force")
			nats("consumer", "copy", StreamEvents, "pulled", "copied")
			wants(nats("consumer", "ls", StreamEvents), "pulled", "pushed", "copied")
			nats("consumer", "report", StreamEvents)
			nats("consumer", "rm", StreamEvents, "copied", "--force")
			wants(nats("stream", "ls"), StreamEvents)
			nats("stream", "info", StreamEvents)
		})
	}
}
