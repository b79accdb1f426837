package main

import (
	"context"
	"fmt"

	"headwater/handlers/webhooks"
)

// deliver posts events to the webhooks until the node is closed.
func (n *node) deliver(life context.Context, hooks *webhooks.Registry) {
	life, stop := context.WithCancel(life)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		hooks.Deliver(life)
	}()
	n.onClose(func(ctx context.Context) error {
		stop()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("close the webhooks: %w", ctx.Err())
		}
	})
}
