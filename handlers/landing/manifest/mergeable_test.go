package manifest

import (
	"fmt"
	"testing"

	"github.com/apache/iceberg-go"
)

// However often a table is committed to, few manifests name its files, and each
// file is named anew few times.
func TestMergeableStaysFew(t *testing.T) {
	const commits = 200_000
	const each, header = 150, 3600 // bytes
	manifest := func(name string, files int) iceberg.ManifestFile {
		return iceberg.NewManifestFile(2, name, int64(header+files*each), 0, 0).ExistingFiles(int32(files)).Build()
	}
	var standing []iceberg.ManifestFile
	most, written := 0, 0
	for i := range commits {
		standing = append(standing, manifest(fmt.Sprint(i), 1))
		named := 1
		for _, few := range mergeable(standing, -1) {
			files := 0
			taken := map[string]bool{}
			for _, m := range few {
				taken[m.FilePath()] = true
				files += entriesIn(m)
			}
			var left []iceberg.ManifestFile
			for _, m := range standing {
				if !taken[m.FilePath()] {
					left = append(left, m)
				}
			}
			standing = append(left, manifest(fmt.Sprint("m", i), files))
			named = files
		}
		written += named
		most = max(most, len(standing)-int(int64(i)*each/(fullManifest/2)))
	}
	if most > 16 {
		t.Errorf("%d manifests beside the full ones", most)
	}
	if average := written / commits; average > 2*fewFiles {
		t.Errorf("a commit names %d files on average", average)
	}
}
