package session

import "testing"

// TestSaslprep has passwords whose form for SCRAM is another one.
func TestSaslprep(t *testing.T) {
	for password, want := range map[string]string{
		"plain": "plain", "area12m²": "area12m2", "ﬁ\u00aa": "fia", "ｆｕｌｌ１": "full1", "a\u00a0b": "a b", "I\u00adX": "IX", "e\u0301": "é",
		"tab\t²": "tab\t²", "🙂²": "🙂²", "\xff²": "\xff²", "": "",
	} {
		if got := saslprep(password); got != want {
			t.Errorf("%q becomes %q, want %q", password, got, want)
		}
	}
}
