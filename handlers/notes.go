package handlers

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what a table's result tells beside its counts.
const (
	maxNotes    = 20
	maxNoteSize = 500 // bytes
)

// note adds sentences to the table's result, each once.
func (t *tableRun) note(texts ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, text := range texts {
		text = shortened(text)
		if text == "" || len(t.result.Notes) >= maxNotes || slices.Contains(t.result.Notes, text) {
			continue
		}
		// Results that were told of share the list.
		t.result.Notes = append(slices.Clip(t.result.Notes), text)
		t.changed = true
	}
}

// notes returns what the table's result says up to now.
func (t *tableRun) notes() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.result.Notes
}

// shortened returns a text of at most maxNoteSize bytes.
func shortened(text string) string {
	text = strings.TrimSpace(text)
	if len(text) <= maxNoteSize {
		return text
	}
	const dots = "..."
	cut := maxNoteSize - len(dots)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + dots
}
