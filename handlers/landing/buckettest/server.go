// Package buckettest starts a private S3 server for tests, and a proxy before it
// that misbehaves as it is told.
package buckettest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

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
	return start(t, bucket)
}

// StartVersioned is Start of a server that can keep versions, and whose bucket
// does.
func StartVersioned(t *testing.T, bucket string) string {
	t.Helper()
	address := start(t, bucket, "--versioning-dir", t.TempDir())
	client := clientOf(address)
	enabled := &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}
	if _, err := client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &bucket, VersioningConfiguration: enabled}); err != nil {
		t.Fatal(err)
	}
	return address
}

// clientOf returns a client with the server's keys.
func clientOf(address string) *s3.Client {
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: &address, UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: AccessKey, SecretAccessKey: SecretKey}, nil
		}),
	})
}

// makeBucket makes a bucket once the server takes it.
func makeBucket(ctx context.Context, address, bucket string) error {
	var last error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, last = clientOf(address).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); last == nil {
			return nil
		}
	}
	return last
}

func start(t *testing.T, bucket string, options ...string) string {
	t.Helper()
	server, stop, err := Serve(t.TempDir(), bucket, options...)
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") == "" && os.Getenv("HEADWATER_TEST_REQUIRE") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	for _, setting := range Environment() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	return server
}

// Environment returns the settings with which programs have the server's keys.
func Environment() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + AccessKey, "AWS_SECRET_ACCESS_KEY=" + SecretKey, "AWS_EC2_METADATA_DISABLED=true"}
}

// Serve runs an S3 server over a folder, with the named bucket, until stop. It
// returns its URL, or exec.ErrNotFound where the program is missing. The flags are
// more of the server's own.
func Serve(dir, bucket string, flags ...string) (server string, stop func(), err error) {
	if err := os.MkdirAll(filepath.Join(dir, bucket), 0o755); err != nil {
		return "", nil, err
	}
	return serve(dir, AccessKey, SecretKey, flags...)
}

// Over is Start with the buckets that are the folders of a directory, and keys of
// the caller's, which are not set; flags are more of the server's own. An object
// is the file of its key.
func Over(t *testing.T, dir, access, secret string, flags ...string) string {
	t.Helper()
	server, stop, err := serve(dir, access, secret, flags...)
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") == "" && os.Getenv("HEADWATER_TEST_REQUIRE") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return server
}

func serve(dir, access, secret string, flags ...string) (server string, stop func(), err error) {
	name, err := program()
	if err != nil {
		return "", nil, fmt.Errorf("versitygw is missing, run `make deps`: %w", err)
	}
	port, err := ports.Take()
	if err != nil {
		return "", nil, err
	}
	address := ports.Address(port)
	c := exec.Command(name, slices.Concat([]string{"--access", access, "--secret", secret, "--port", address, "posix"}, flags, []string{dir})...)
	if err := c.Start(); err != nil {
		return "", nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	stop = func() {
		c.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			c.Process.Kill()
			<-ended
		}
	}
	if err := reachable(address); err != nil {
		stop()
		return "", nil, err
	}
	return "http://" + address, stop, nil
}

func reachable(address string) error {
	var last error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			return c.Close()
		}
		last = err
	}
	return errors.Join(fmt.Errorf("the S3 server at %s did not start", address), last)
}
