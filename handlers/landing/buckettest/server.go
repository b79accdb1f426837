// Package buckettest starts a private S3 server for tests, and a proxy before it
// that misbehaves as it is told.
package buckettest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"headwater/connectors/drivertest/ports"
)

// The keys of the server, which no log may show.
const (
	AccessKey = "headwater-access"
	SecretKey = "headwater-secret-of-the-bucket"
)

// program returns where versitygw is, as .ci/tools leaves it.
func program() (string, error) {
	tools := os.Getenv("HEADWATER_TEST_TOOLS")
	if tools == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		tools = filepath.Join(cache, "headwater-tools")
	}
	name := filepath.Join(tools, "versitygw-v1.8.0", "versitygw")
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	return exec.LookPath("versitygw")
}

// Start runs an S3 server with the named bucket until the test ends, and sets
// its keys in the environment. It returns its URL. A test that lacks the program
// is skipped, or fails where CI or HEADWATER_TEST_REQUIRE is set.
func Start(t *testing.T, bucket string) string {
	t.Helper()
	name, err := program()
	if err != nil {
		if os.Getenv("CI") != "" || os.Getenv("HEADWATER_TEST_REQUIRE") != "" {
			t.Fatal("versitygw is missing: run `make deps`")
		}
		t.Skip("versitygw is missing: run `make deps`")
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	port, err := ports.Take()
	if err != nil {
		t.Fatal(err)
	}
	address := ports.Address(port)
	c := exec.Command(name, "--access", AccessKey, "--secret", SecretKey, "--port", address, "posix", dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			c.Process.Kill()
			<-ended
		}
	})
	if err := reachable(address); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", SecretKey)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return "http://" + address
}

func reachable(address string) error {
	var last error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			return c.Close()
		}
		last = err
	}
	return errors.Join(fmt.Errorf("the S3 server at %s did not start", address), last)
}
