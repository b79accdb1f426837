package bucket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Object is a file that a listing found.
type Object struct {
	Path     string // its full name
	Length   int64
	Modified time.Time
}

// List returns every file below a folder.
func (b *Bucket) List(folder string) ([]Object, error) {
	prefix, err := b.key(strings.TrimRight(folder, "/") + "/")
	if err != nil && strings.TrimRight(folder, "/")+"/" != b.root() {
		return nil, err
	}
	var found []Object
	in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix}
	for {
		page, err := listed(b, "ListObjectsV2", prefix, b.client.ListObjectsV2, in, func(p *s3.ListObjectsV2Output) *string { return p.Name })
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			if key := aws.ToString(o.Key); !strings.HasSuffix(key, "/") {
				found = append(found, Object{b.root() + key, aws.ToInt64(o.Size), aws.ToTime(o.LastModified)})
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return found, nil
		}
		if in.ContinuationToken = page.NextContinuationToken; in.ContinuationToken == nil {
			return nil, fmt.Errorf("ListObjectsV2 %s: a listing that goes on and does not say where", prefix)
		}
	}
}

// listed is request for a page of a listing, which names its bucket: 200 and
// nothing is no folder without files.
func listed[I, O any](b *Bucket, op, prefix string, call func(context.Context, I, ...func(*s3.Options)) (O, error), in I, named func(O) *string) (page O, err error) {
	err = b.insist(op, prefix, func() error {
		if page, err = request(b, op, prefix, call, in); err == nil && aws.ToString(named(page)) == "" {
			err = broken(op, prefix, notTheStore)
		}
		return err
	})
	return page, err
}

// WalkDir calls fn for each file below a folder.
func (b *Bucket) WalkDir(folder string, fn fs.WalkDirFunc) error {
	found, err := b.List(folder)
	if err != nil {
		return fn(folder, nil, err)
	}
	for _, o := range found {
		info := &reader{key: o.Path, size: o.Length, modified: o.Modified}
		if err := fn(o.Path, fs.FileInfoToDirEntry(info), nil); err != nil {
			if errors.Is(err, fs.SkipAll) || errors.Is(err, fs.SkipDir) {
				return nil
			}
			return err
		}
	}
	return nil
}

// Remove removes a file; a store answers the same for one that does not exist.
func (b *Bucket) Remove(name string) error {
	b, done := b.lively()
	defer done()
	key, err := b.key(name)
	if err != nil {
		return err
	}
	b.forget(key)
	_, err = request(b, "DeleteObject", key, b.client.DeleteObject, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key})
	return err
}

// lively returns the bucket as it is, or, when its context has ended, with some
// time to remove what the work has left.
func (b *Bucket) lively() (*Bucket, context.CancelFunc) {
	if b.ctx.Err() == nil {
		return b, func() {}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), tidying)
	return b.Within(ctx), cancel
}

// RemoveFiles removes files, a thousand in a request.
func (b *Bucket) RemoveFiles(names []string) error {
	b, done := b.lively()
	defer done()
	if len(names) == 1 {
		return b.Remove(names[0])
	}
	ids := make([]types.ObjectIdentifier, len(names))
	for i, name := range names {
		key, err := b.key(name)
		if err != nil {
			return err
		}
		ids[i].Key = &key
	}
	return b.remove(ids)
}

func (b *Bucket) remove(ids []types.ObjectIdentifier) error {
	var failed []error
	for some := range slices.Chunk(ids, 1000) {
		for _, id := range some {
			b.forget(*id.Key)
		}
		failed = append(failed, b.removeSome(some))
	}
	return errors.Join(failed...)
}

func (b *Bucket) removeSome(ids []types.ObjectIdentifier) error {
	if b.single.Load() {
		return b.removeEach(ids)
	}
	out, err := request(b, "DeleteObjects", *ids[0].Key, b.client.DeleteObjects, &s3.DeleteObjectsInput{Bucket: &b.name, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)}})
	var e *Error
	if errors.As(err, &e) && (e.Status == 400 || e.Status == 405 || e.Status == 501) {
		b.single.Store(true) // a store that knows single ones only
		return b.removeEach(ids)
	}
	if err != nil {
		return err
	}
	var failed []error
	for _, one := range out.Errors {
		if code := aws.ToString(one.Code); code != "NoSuchKey" && code != "NoSuchVersion" {
			failed = append(failed, &Error{Op: "DeleteObjects", Key: aws.ToString(one.Key), Status: 200, Code: code, Lasting: code == "AccessDenied"})
		}
	}
	return errors.Join(failed...)
}

func (b *Bucket) removeEach(ids []types.ObjectIdentifier) error {
	var failed []error
	for _, id := range ids {
		_, err := request(b, "DeleteObject", *id.Key, b.client.DeleteObject, &s3.DeleteObjectInput{Bucket: &b.name, Key: id.Key, VersionId: id.VersionId})
		if failed = append(failed, err); b.ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// Removal is what became of the files of a folder.
type Removal struct {
	Removed   int // files that are not listed any more
	Remaining int // files that are
	Kept      int // former versions that the bucket keeps
}

// version is a file or a former one of its name.
type version struct {
	types.ObjectIdentifier
	newest bool // readers see it
}

// RemoveAll removes every file below a folder, its former versions and the
// uploads on their way there, and lists it again: what is still listed is not
// counted as removed, whatever the store answered. It returns an error where
// files or versions are left or the store refused.
func (b *Bucket) RemoveAll(folder string) (r Removal, err error) {
	failed := b.AbortUploads(folder, func(string) bool { return true })
	there, shown, err := b.versions(folder)
	if err != nil {
		return r, errors.Join(failed, err)
	}
	if len(there) == 0 {
		return r, failed
	}
	had := newest(there)
	refused := b.remove(identifiers(there))
	if refused != nil { // who may not remove versions may still remove what readers see
		plain := make([]types.ObjectIdentifier, len(had))
		for i, id := range had {
			plain[i].Key = id.Key
		}
		refused = errors.Join(refused, b.remove(plain))
	}
	left, _, err := b.versions(folder)
	if err != nil {
		r.Remaining = len(had)
		return r, errors.Join(failed, refused, err)
	}
	r.Remaining = len(newest(left))
	r.Removed = max(0, len(had)-r.Remaining)
	if r.Kept = len(left) - r.Remaining; !shown {
		if versioned, asked := b.Versioned(b.ctx); asked == nil && versioned {
			r.Kept = r.Removed
		}
	}
	if refused == nil && r.Remaining > 0 {
		refused = &Error{Op: "DeleteObjects", Key: *newest(left)[0].Key, Status: 200, Code: "it is still there after it was removed", Lasting: true}
	}
	if refused == nil && r.Kept > 0 {
		refused = &Error{Op: "ListObjectVersions", Key: folder, Err: errKept, Lasting: true}
	}
	if r.Remaining+r.Kept == 0 {
		refused = nil // whatever was answered, nothing is left
	}
	return r, errors.Join(failed, refused)
}

// errKept says that former versions could not be seen, and so not be removed.
var errKept = errors.New("the bucket keeps former versions, which these keys may not see or remove")

func newest(all []version) (ids []types.ObjectIdentifier) {
	for _, v := range all {
		if v.newest {
			ids = append(ids, v.ObjectIdentifier)
		}
	}
	return ids
}

func identifiers(all []version) []types.ObjectIdentifier {
	ids := make([]types.ObjectIdentifier, len(all))
	for i, v := range all {
		ids[i] = v.ObjectIdentifier
	}
	return ids
}

// versions lists a folder with the former versions of its files, where the store
// shows them.
func (b *Bucket) versions(folder string) (all []version, shown bool, err error) {
	prefix, err := b.key(strings.TrimRight(folder, "/") + "/")
	if err != nil {
		return nil, false, err
	}
	in := &s3.ListObjectVersionsInput{Bucket: &b.name, Prefix: &prefix}
	for {
		page, err := listed(b, "ListObjectVersions", prefix, b.client.ListObjectVersions, in, func(p *s3.ListObjectVersionsOutput) *string { return p.Name })
		var e *Error
		if errors.As(err, &e) && (e.Status == 400 || e.Status == 403 || e.Status == 404 || e.Status == 501) && e.Code != "NoSuchBucket" {
			all, err := b.unversioned(folder)
			return all, false, err
		}
		if err != nil {
			return nil, false, err
		}
		for _, v := range page.Versions {
			all = append(all, version{identified(v.Key, v.VersionId), aws.ToBool(v.IsLatest)})
		}
		for _, d := range page.DeleteMarkers {
			all = append(all, version{identified(d.Key, d.VersionId), false})
		}
		if !aws.ToBool(page.IsTruncated) {
			return all, true, nil
		}
		in.KeyMarker, in.VersionIdMarker = page.NextKeyMarker, page.NextVersionIdMarker
	}
}

// identified names a version; that of a bucket without versions is "null", which
// not every such store takes.
func identified(key, version *string) types.ObjectIdentifier {
	if v := aws.ToString(version); v == "" || v == "null" {
		version = nil
	}
	return types.ObjectIdentifier{Key: key, VersionId: version}
}

func (b *Bucket) unversioned(folder string) (all []version, err error) {
	found, err := b.List(folder)
	for _, o := range found {
		key, _ := b.key(o.Path)
		all = append(all, version{types.ObjectIdentifier{Key: &key}, true})
	}
	return all, err
}

// AbortUploads ends uploads below a folder that were begun and are not complete:
// those whose file's name is stale. Stores that do not list uploads have none
// that can be ended.
func (b *Bucket) AbortUploads(folder string, stale func(base string) bool) error {
	prefix, err := b.key(strings.TrimRight(folder, "/") + "/")
	if err != nil {
		return err
	}
	return b.abortUploads(prefix, stale)
}

func (b *Bucket) abortUploads(prefix string, stale func(base string) bool) error {
	in := &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: &prefix}
	for {
		page, err := listed(b, "ListMultipartUploads", prefix, b.client.ListMultipartUploads, in, func(p *s3.ListMultipartUploadsOutput) *string { return p.Bucket })
		var e *Error
		if errors.As(err, &e) && (e.Status == 400 || e.Status == 403 || e.Status == 404 || e.Status == 501) && e.Code != "NoSuchBucket" {
			return nil
		}
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if key := aws.ToString(u.Key); strings.HasPrefix(key, prefix) && stale(base(key)) {
				if err := b.abort(key, u.UploadId); err != nil {
					return err
				}
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return nil
		}
		in.KeyMarker, in.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
}

// Versioned reports whether the bucket keeps what is removed.
func (b *Bucket) Versioned(ctx context.Context) (bool, error) {
	out, err := request(b.Within(ctx), "GetBucketVersioning", "", b.client.GetBucketVersioning, &s3.GetBucketVersioningInput{Bucket: &b.name})
	return err == nil && out.Status == types.BucketVersioningStatusEnabled, err
}
