package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MasterKeySize is the length of a master key in bytes.
const MasterKeySize = 32

// LoadOrCreateMasterKey returns the master key in the file at path: exactly
// MasterKeySize raw bytes, readable only by its owner. It creates a missing file
// durably, so that two processes that start concurrently agree on one key. It
// returns ErrMasterKey for a file of another size or one that others may read.
func LoadOrCreateMasterKey(path string) ([]byte, error) {
	key, err := loadMasterKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createMasterKey(path); err != nil {
		return nil, fmt.Errorf("master key %s: %w", path, err)
	}
	return loadMasterKey(path)
}

func loadMasterKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrMasterKey, path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s is readable by others (mode %#o): run chmod 600 on it", ErrMasterKey, path, info.Mode().Perm())
	}
	if info.Size() != MasterKeySize {
		return nil, fmt.Errorf("%w: %s holds %d bytes, wanted %d", ErrMasterKey, path, info.Size(), MasterKeySize)
	}
	key := make([]byte, MasterKeySize)
	if _, err := f.ReadAt(key, 0); err != nil {
		return nil, fmt.Errorf("master key %s: %w", path, err)
	}
	return key, nil
}

// createMasterKey links a finished file to path, so that no reader sees half a
// key. An existing file is not an error.
func createMasterKey(path string) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".master-key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	key := make([]byte, MasterKeySize)
	rand.Read(key)
	_, err = f.Write(key)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
