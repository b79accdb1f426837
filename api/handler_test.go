package api

import "testing"

func TestNewNamesWhatIsMissing(t *testing.T) {
	if _, err := New(Deps{}); err == nil {
		t.Error("a handler without parts was built")
	}
}
