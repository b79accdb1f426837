package wire

import "crypto/rand"

// SecretName returns a name that nobody can guess, whatever other names it has
// seen: of consumers of ours, inboxes and batches. NATS's own generator counts
// on from a number that it shows to everybody who gets one of its names.
func SecretName() string { return rand.Text() }
