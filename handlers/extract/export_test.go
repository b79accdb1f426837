package extract

// Racing says that the race detector runs, whose own memory stays.
const Racing = racing

// Spare returns the child that waits ready, 0 for none.
func (p *Pool) Spare() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spare == nil {
		return 0
	}
	return p.spare.cmd.Process.Pid
}
