package landing

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/buckettest"
)

// A bucket with versions keeps what is removed: a drop removes the versions too,
// and no file of the lake's rows is anywhere on the server's disk then.
func TestDropInABucketWithVersions(t *testing.T) {
	buckettest.Start(t, "unused") // for its keys
	dir, versions := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lab"), 0o755); err != nil {
		t.Fatal(err)
	}
	server := buckettest.Over(t, dir, buckettest.AccessKey, buckettest.SecretKey, "--versioning-dir", versions)
	client := s3.New(s3.Options{
		BaseEndpoint: &server, Region: "us-east-1", UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: buckettest.AccessKey, SecretAccessKey: buckettest.SecretKey}, nil
		}),
	})
	_, err := client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: aws.String("lab"), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := openLakeAt(t, "s3://lab/x?region=us-east-1&endpoint="+server, kvtest.New())
	w := begin(t, l, full(1, "syn_1"))
	write(t, w, 0, 100)
	if err := w.Abort(t.Context()); err != nil { // which leaves versions
		t.Fatal(err)
	}
	w = begin(t, l, full(2, "syn_2"))
	write(t, w, 0, 100)
	commit(t, w, nil, true)
	wantIDs(t, l, span(0, 100))
	kept := func() (n int) {
		t.Helper()
		for _, place := range []string{dir, versions} {
			err := filepath.WalkDir(place, func(name string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					if content, err := os.ReadFile(name); err == nil && strings.HasPrefix(string(content), "PAR1") {
						n++
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	if n := kept(); n == 0 {
		t.Fatal("the server keeps no rows")
	}
	if _, err := l.Drop(t.Context(), home); err != nil {
		t.Fatal(err)
	}
	if n := kept(); n != 0 {
		t.Errorf("%d files of rows are kept after the drop", n)
	}
}
