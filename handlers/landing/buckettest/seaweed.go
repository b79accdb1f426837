package buckettest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"headwater/connectors/drivertest/ports"
)

// SeaweedRole is the role of a SeaweedFS that Seaweed starts: it may do anything with
// any bucket, so that only a session policy restricts it.
const SeaweedRole = "arn:aws:iam::111122223333:role/LakeReader"

// Seaweed runs a SeaweedFS, whose S3 endpoint is an STS too, with the named bucket
// until the test ends, and sets its keys in the environment. It returns its URL. The
// test is skipped unless HEADWATER_TEST_SEAWEEDFS names the program, which `make sts`
// builds: that takes several minutes.
func Seaweed(t *testing.T, bucket string) string {
	t.Helper()
	program := os.Getenv("HEADWATER_TEST_SEAWEEDFS")
	if program == "" {
		t.Skip("HEADWATER_TEST_SEAWEEDFS names no SeaweedFS; `make sts` builds one")
	}
	type object = map[string]any
	everything := []object{{"Effect": "Allow", "Action": []string{"s3:*"}, "Resource": []string{"arn:aws:s3:::*"}}}
	anybody := []object{{"Effect": "Allow", "Principal": "*", "Action": []string{"sts:AssumeRole"}}}
	dir := t.TempDir()
	for name, content := range map[string]object{
		"keys.json": {"identities": []object{{
			"name": "headwater", "actions": []string{"Admin"}, "credentials": []object{{"accessKey": AccessKey, "secretKey": SecretKey}},
		}}},
		"iam.json": {
			"sts":      object{"issuer": "test", "tokenDuration": "1h", "maxSessionLength": "12h", "signingKey": base64.StdEncoding.EncodeToString([]byte("a key of 32 bytes for this test."))},
			"policy":   object{"defaultEffect": "Deny", "storeType": "memory"},
			"policies": []object{{"name": "Everything", "document": object{"Version": "2012-10-17", "Statement": everything}}},
			"roles": []object{{
				"roleName": "LakeReader", "roleArn": SeaweedRole, "attachedPolicies": []string{"Everything"},
				"trustPolicy": object{"Version": "2012-10-17", "Statement": anybody},
			}},
		},
	} {
		text, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	server := startSeaweed(t, program, dir)
	for _, setting := range Environment() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	if err := makeBucket(t.Context(), server, bucket); err != nil {
		t.Fatal(err)
	}
	return server
}

func startSeaweed(t *testing.T, program, dir string) (server string) {
	t.Helper()
	listens := []string{"master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc"}
	args := []string{
		"-logtostderr=true", "server", "-dir", dir, "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-volume.max", "20", "-master.volumeSizeLimitMB", "64",
		"-filer", "-s3", "-s3.config", filepath.Join(dir, "keys.json"), "-s3.iam.config", filepath.Join(dir, "iam.json"), "-s3.port.iceberg", "0", "-s3.port.lance", "0",
	}
	for _, listen := range listens {
		port, err := ports.Take()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { removeSockets(port) })
		if args = append(args, "-"+listen, fmt.Sprint(port)); listen == "s3.port" {
			server = ports.Address(port)
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c := exec.Command(program, args...)
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // it takes ten seconds to end otherwise
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			said, _ := os.ReadFile(log.Name())
			t.Logf("SeaweedFS:\n%s", said[max(0, len(said)-4000):])
		}
	})
	if err := reachable(server); err != nil {
		t.Fatal(err)
	}
	return "http://" + server
}

// removeSockets removes what a server that was killed leaves.
func removeSockets(port int) {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("seaweedfs-*-%d.sock", port)))
	for _, name := range left {
		_ = os.Remove(name)
	}
}
