package guests

// remember records the token of a connection. When there are more records than
// connections can be open, it drops those of closed ones.
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

// Disconnect closes the connections whose token has that id (Grant.ID). It does
// not wait.
func (a *Authenticator) Disconnect(id string) {
	a.mu.Lock()
	all := a.held[id]
	delete(a.held, id)
	a.mu.Unlock()
	for connection := range all {
		_ = a.broker.DisconnectClientByID(connection) // the connection may have ended already
	}
}
