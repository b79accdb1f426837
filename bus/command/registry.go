package command

import (
	"slices"

	"headwater/bus/event"
)

// registry lists every command, with the kinds of operation that consist of it.
// Tests compare it with the code that carries out, gives up, sends and counts
// commands, and name what is missing.
var registry = []struct {
	make  func() Data
	kinds []string
}{
	{func() Data { return new(ConnectSource) }, []string{event.KindConnect, event.KindUpdate}},
	{func() Data { return new(TestConnection) }, []string{event.KindTest}},
	{func() Data { return new(SyncSource) }, []string{event.KindSync}},
	{func() Data { return new(CancelOperation) }, []string{event.KindCancel}},
	{func() Data { return new(RemoveSource) }, []string{event.KindCleanup}},
	{func() Data { return new(DiscoverSchema) }, []string{event.KindDiscover}},
	{func() Data { return new(RestoreSource) }, []string{event.KindRestore}},
	{func() Data { return new(PurgeSource) }, []string{event.KindPurge}},
	{func() Data { return new(VerifySource) }, []string{event.KindVerify}},
	{func() Data { return new(MaintainSource) }, []string{event.KindMaintain}},
	{func() Data { return new(RenameSource) }, []string{event.KindRename}},
	{func() Data { return new(ChangeSchedule) }, []string{event.KindSchedule}},
	{func() Data { return new(FireSchedule) }, nil}, // its operation is that of the sync
	{func() Data { return new(FollowSource) }, nil}, // begun by a schedule
	{func() Data { return new(ReleaseChanges) }, nil},
}

// All returns a new zero payload of every command.
func All() []Data {
	all := make([]Data, len(registry))
	for i, c := range registry {
		all[i] = c.make()
	}
	return all
}

// New returns a pointer to the zero payload of the named command, or nil for an
// unknown name.
func New(name string) Data {
	for _, c := range registry {
		if d := c.make(); d.CommandName() == name {
			return d
		}
	}
	return nil
}

// ForKind returns the name of the command that an operation of that kind
// consists of, or "" if there is none, as for event.KindRequest.
func ForKind(kind string) string {
	for _, c := range registry {
		if slices.Contains(c.kinds, kind) {
			return c.make().CommandName()
		}
	}
	return ""
}
