package guests

// remember notes which token a connection came with. Those that have ended are
// forgotten when there are more than may be open.
func (a *Authenticator) remember(id string, connection uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.held[id]
	if all == nil {
		all = map[uint64]struct{}{}
		a.held[id] = all
	}
	all[connection] = struct{}{}
	if len(all) <= 2*maxConnections {
		return
	}
	for known := range all {
		if known != connection && a.broker.GetClient(known) == nil {
			delete(all, known)
		}
	}
}

// Disconnect ends the connections that came with the token of that id (Grant.ID).
// It does not wait for their end.
func (a *Authenticator) Disconnect(id string) {
	a.mu.Lock()
	all := a.held[id]
	delete(a.held, id)
	a.mu.Unlock()
	for connection := range all {
		_ = a.broker.DisconnectClientByID(connection) // one that has ended is no matter
	}
}
