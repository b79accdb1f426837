package bus

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"headwater/bus/bustest"
)

// Programs that use nats.js 2 and 3 read the same as a guest as from a
// plain server.
func TestClientJavaScript(t *testing.T) {
	t.Parallel()
	modules := bustest.Tool(t, "npm", "node_modules")
	for _, s := range servers(t) {
		for name, script := range map[string]string{"nats.js 2": "nats2.cjs", "nats.js 3": "nats3.cjs"} {
			t.Run(s.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				token := ""
				if s.guest {
					token = "ada"
				}
				cmd := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", script), s.address, token, StreamEvents, adasEvents, strconv.Itoa(adasEventCount))
				cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%v\n%s", err, stderr.Bytes())
				}
				ways := 0
				for line := range bytes.Lines(out) {
					var told struct {
						Way, Error string
						Read       []string
					}
					if err := json.Unmarshal(line, &told); err != nil {
						t.Fatalf("%s: %v", line, err)
					}
					ways++
					t.Run(told.Way, func(t *testing.T) {
						if told.Error != "" {
							t.Fatal(told.Error)
						}
						reads(t, told.Read, nil)
					})
				}
				if ways < 8 {
					t.Errorf("only %d ways were tried", ways)
				}
			})
		}
	}
}
