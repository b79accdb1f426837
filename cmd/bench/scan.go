package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
	"headwater/cmd/bench/widetable"
)

// scan measures a full scan of a landed table over the service's S3 endpoint, by
// keys of its catalog, beside the same scan of the files themselves. The reader has
// one core, and so has the service.
func (b *bench) scan(ctx context.Context) ([]report.Row, error) {
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		return nil, err
	}
	path, want, err := b.fillSQLite(ctx, shell)
	if err != nil {
		return nil, err
	}
	s, err := b.Serve(ctx)
	if err != nil {
		return nil, err
	}
	inside, err := filepath.Rel(filepath.Join(b.Cache, "files"), path)
	if err != nil {
		return nil, err
	}
	source, err := s.Connect(ctx, "sqlite", "scanned", rig.Object{"path": inside})
	if err != nil {
		return nil, err
	}
	l, _, err := s.Sync(ctx, source, rig.Object{"mode": "full_refresh", "tables": []string{"wide"}})
	if err != nil {
		return nil, err
	}
	bucket, err := vended(ctx, s, "scanned", "wide")
	if err != nil {
		return nil, err
	}
	folder, err := url.Parse(l.Location)
	if err != nil {
		return nil, err
	}
	var here, there []func() (parquet.ReaderAtSeeker, error)
	err = filepath.WalkDir(filepath.Join(folder.Path, "data"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".parquet") {
			return err
		}
		here = append(here, func() (parquet.ReaderAtSeeker, error) { return os.Open(name) })
		there = append(there, func() (parquet.ReaderAtSeeker, error) { return bucket.open(ctx, filepath.Base(name)) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	side := func(files []func() (parquet.ReaderAtSeeker, error)) rig.Side {
		return func(ctx context.Context) (time.Duration, error) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			began := time.Now()
			rows := int64(0)
			for _, open := range files {
				n, err := scanFile(ctx, open)
				if err != nil {
					return 0, err
				}
				rows += n
			}
			if rows != want.Rows {
				return 0, fmt.Errorf("%d rows were read of %d", rows, want.Rows)
			}
			return time.Since(began), nil
		}
	}
	name := fmt.Sprintf("full scan over S3, %d x %d, a core each", want.Rows, len(widetable.Columns))
	ours, limit, err := b.Pair(ctx, name, side(there), side(here))
	if err != nil {
		return nil, err
	}
	return []report.Row{report.Ratio(name, "the files themselves", int(want.Rows), ours, limit, 1.30)}, nil
}

// scanFile decodes every column of a Parquet file and returns its rows.
func scanFile(ctx context.Context, open func() (parquet.ReaderAtSeeker, error)) (rows int64, err error) {
	f, err := open()
	if err != nil {
		return 0, err
	}
	if c, ok := f.(io.Closer); ok {
		defer c.Close()
	}
	r, err := file.NewParquetReader(f)
	if err != nil {
		return 0, err
	}
	ar, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: 16 << 10}, memory.DefaultAllocator)
	if err != nil {
		return 0, err
	}
	records, err := ar.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return 0, err
	}
	defer records.Release()
	for records.Next() {
		rows += records.RecordBatch().NumRows()
	}
	if err := records.Err(); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return rows, nil
}

// vendedTable is a table as the catalog's keys open it.
type vendedTable struct {
	client *s3.Client
	bucket string
	folder string
}

// vended asks the catalog for a table and keys to its files.
func vended(ctx context.Context, s *rig.Service, namespace, table string) (vendedTable, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", s.Base+"/iceberg/v1/bench/namespaces/"+namespace+"/tables/"+table, nil)
	if err != nil {
		return vendedTable{}, err
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	req.Header.Set("X-Iceberg-Access-Delegation", "vended-credentials")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return vendedTable{}, err
	}
	defer res.Body.Close()
	var loaded struct {
		Metadata struct{ Location string }
		Config   map[string]string
	}
	if res.StatusCode != http.StatusOK {
		return vendedTable{}, fmt.Errorf("load %s.%s: answer %d", namespace, table, res.StatusCode)
	}
	if err := json.NewDecoder(res.Body).Decode(&loaded); err != nil {
		return vendedTable{}, fmt.Errorf("load %s.%s: %w", namespace, table, err)
	}
	bucket, folder, _ := strings.Cut(strings.TrimPrefix(loaded.Metadata.Location, "s3://"), "/")
	c := loaded.Config
	return vendedTable{bucket: bucket, folder: folder, client: s3.New(s3.Options{
		Region: c["s3.region"], BaseEndpoint: aws.String(c["s3.endpoint"]), UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: c["s3.access-key-id"], SecretAccessKey: c["s3.secret-access-key"], SessionToken: c["s3.session-token"]}, nil
		}),
	})}, nil
}

// vendedFile reads ranges of a file, as engines do.
type vendedFile struct {
	*io.SectionReader
	of  vendedTable
	ctx context.Context // of the scan
	key string
}

func (v vendedTable) open(ctx context.Context, name string) (parquet.ReaderAtSeeker, error) {
	f := &vendedFile{of: v, ctx: ctx, key: v.folder + "/data/" + name}
	head, err := v.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &v.bucket, Key: &f.key})
	if err != nil {
		return nil, err
	}
	f.SectionReader = io.NewSectionReader(f, 0, aws.ToInt64(head.ContentLength))
	return f, nil
}

// ReadAt hides the section's own, which reads by it.
func (f *vendedFile) ReadAt(p []byte, at int64) (int, error) {
	out, err := f.of.client.GetObject(f.ctx, &s3.GetObjectInput{Bucket: &f.of.bucket, Key: &f.key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", at, at+int64(len(p))-1))})
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(out.Body, p)
	return n, errors.Join(err, out.Body.Close())
}
