package web

// OrNull returns nil, which marshals to null, if the value equals nothing, else a
// pointer to it.
func OrNull[T comparable](value, nothing T) *T {
	if value == nothing {
		return nil
	}
	return &value
}
