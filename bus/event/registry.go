package event

// entry is one event of the registry.
type entry struct {
	make     func() Data
	ofCaller bool // it reports an action of a caller, and concerns no source
}

// registry lists every event: those of a source in the order of its life, then
// those of callers. Tests compare it with the code that decodes, folds,
// describes and logs events, and name what is missing.
var registry = []entry{
	{make: func() Data { return new(OperationAccepted) }},
	{make: func() Data { return new(CommandRejected) }},
	{make: func() Data { return new(ConnectionTested) }},
	{make: func() Data { return new(SourceConnected) }},
	{make: func() Data { return new(SourceConnectFailed) }},
	{make: func() Data { return new(SchemaDiscovered) }},
	{make: func() Data { return new(SyncStarted) }},
	{make: func() Data { return new(SyncProgressed) }},
	{make: func() Data { return new(SyncCompleted) }},
	{make: func() Data { return new(SyncFailed) }},
	{make: func() Data { return new(SyncCancelled) }},
	{make: func() Data { return new(ChangesLanded) }},
	{make: func() Data { return new(ChangesLagging) }},
	{make: func() Data { return new(ChangesGivenUp) }},
	{make: func() Data { return new(TableVerified) }},
	{make: func() Data { return new(ScheduleChanged) }},
	{make: func() Data { return new(ScheduleFired) }},
	{make: func() Data { return new(ScheduleSkipped) }},
	{make: func() Data { return new(ScheduleMissed) }},
	{make: func() Data { return new(TableMaintained) }},
	{make: func() Data { return new(SourceRemoved) }},
	{make: func() Data { return new(SourceRestored) }},
	{make: func() Data { return new(SourcePurged) }},
	{make: func() Data { return new(SourceDestroyed) }},
	{make: func() Data { return new(WebhookCreated) }, ofCaller: true},
	{make: func() Data { return new(WebhookRotated) }, ofCaller: true},
	{make: func() Data { return new(WebhookDeleted) }, ofCaller: true},
	{make: func() Data { return new(TokenCreated) }, ofCaller: true},
	{make: func() Data { return new(TokenRevoked) }, ofCaller: true},
	{make: func() Data { return new(TokenUsed) }, ofCaller: true},
	{make: func() Data { return new(RequestRefused) }, ofCaller: true},
}

// byName is the registry by event name.
var byName = func() map[string]entry {
	all := make(map[string]entry, len(registry))
	for _, e := range registry {
		all[e.make().EventName()] = e
	}
	return all
}()

// New returns a pointer to the zero payload of the named event, or nil for an
// unknown name.
func New(name string) Data {
	if e, known := byName[name]; known {
		return e.make()
	}
	return nil
}

// All returns a new zero payload of every event: those of a source in the order
// of its life, then those of callers.
func All() []Data {
	all := make([]Data, len(registry))
	for i, e := range registry {
		all[i] = e.make()
	}
	return all
}

// OfSource reports whether the named event concerns a source, as most do; the
// others report actions of callers.
func OfSource(name string) bool { return !byName[name].ofCaller }

// Reasons returns every reason.
func Reasons() []Reason {
	return []Reason{
		ReasonInvalidConfig, ReasonUnreachable, ReasonAuthentication, ReasonPermission, ReasonNotFound, ReasonBadData,
		ReasonUnsupported, ReasonLimit, ReasonTimeout, ReasonConflict, ReasonAlreadySyncing, ReasonSourceRemoved, ReasonPurged,
		ReasonCancelled, ReasonSchemaChanged, ReasonStorage, ReasonSecretDestroyed, ReasonInternal,
	}
}

// Kinds returns every kind of operation.
func Kinds() []string {
	return []string{
		KindConnect, KindTest, KindSync, KindCancel, KindCleanup, KindDiscover, KindRestore, KindVerify, KindMaintain, KindUpdate, KindRename, KindSchedule,
		KindRequest, KindPurge,
	}
}
