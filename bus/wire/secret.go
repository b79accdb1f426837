package wire

import "crypto/rand"

// SecretName returns an unguessable name for a consumer, an inbox or a batch.
// NATS's own generator increments a number that is visible in each of its names.
func SecretName() string { return rand.Text() }
