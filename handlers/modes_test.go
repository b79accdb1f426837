package handlers

import (
	"testing"

	"headwater/bus/command"
	"headwater/handlers/landing"
)

// The modes that can be asked for are those that the lake lands by.
func TestModesAreThoseOfTheLake(t *testing.T) {
	if command.FullRefresh != landing.FullRefresh || command.Incremental != landing.Incremental {
		t.Errorf("asked for are %s and %s, landed by %s and %s", command.FullRefresh, command.Incremental, landing.FullRefresh, landing.Incremental)
	}
}
