package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestMasterKeyIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	keys := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = LoadOrCreateMasterKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, key := range keys {
		if len(key) != MasterKeySize || !bytes.Equal(key, keys[0]) {
			t.Fatal("processes that start at once have different keys")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v, %v", left, err)
	}
}

func TestMasterKeyRefused(t *testing.T) {
	for name, c := range map[string]struct {
		size int
		mode os.FileMode
		says string
	}{
		"empty":        {0, 0o600, "0 bytes"},
		"short":        {31, 0o600, "31 bytes"},
		"long":         {33, 0o600, "33 bytes"},
		"group reads":  {32, 0o640, "chmod 600"},
		"others read":  {32, 0o604, "chmod 600"},
		"others write": {32, 0o602, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, make([]byte, c.size), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadOrCreateMasterKey(path); !errors.Is(err, ErrMasterKey) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := LoadOrCreateMasterKey(t.TempDir()); !errors.Is(err, ErrMasterKey) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := LoadOrCreateMasterKey(filepath.Join(t.TempDir(), "missing", "key")); err == nil {
		t.Error("made a key in a folder that is not there")
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	s := Secret("hunter2")
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "secret", s, "in", struct{ S Secret }{s})
	asJSON, err := json.Marshal(map[string]any{"s": s, "p": &s, "m": map[string]Secret{"k": s}})
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{logged.String(), string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%o"} {
		printed = append(printed, fmt.Sprintf(verb, s), fmt.Sprintf(verb, struct{ S Secret }{s}), fmt.Sprintf(verb, []Secret{s}))
	}
	for _, text := range printed {
		for _, form := range []string{"hunter2", "68756e74", "68756E74", "104 117", "aHVudGVy", "150 165"} {
			if strings.Contains(text, form) {
				t.Errorf("printed %s", text)
			}
		}
		if !strings.Contains(text, Redacted) {
			t.Errorf("%s does not say that something is hidden", text)
		}
	}
	if s.Wipe(); bytes.ContainsFunc(s, func(r rune) bool { return r != 0 }) {
		t.Error("wiping left bytes")
	}
}
