package sqlite

import (
	"context"
	"time"

	"headwater/connectors/driver"
)

// watchdog cancels a statement that yields no row for too long, such as an endless view.
type watchdog struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
	idle   time.Duration
	ticks  int
}

// watch returns a context that ends if alive is not called for the time idle. The caller
// stops it.
func watch(ctx context.Context, idle time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{cancel: cancel, idle: idle}
	w.timer = time.AfterFunc(idle, func() {
		cancel(driver.E(driver.ErrTimeout, nil, "no row for %v", idle))
	})
	return ctx, w
}

// alive resets the timer, but not at every row, because that costs more than a row.
func (w *watchdog) alive() {
	if w.ticks++; w.ticks%256 == 1 {
		w.timer.Reset(w.idle)
	}
}

// pause stops the time while the consumer works.
func (w *watchdog) pause() {
	w.timer.Stop()
	w.ticks = 0
}

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}
