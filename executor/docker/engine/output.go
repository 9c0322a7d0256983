package engine

import (
	"context"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// maxKept is how much of what a container's main process writes the Engine keeps.
const maxKept = "10m"

// boundLogs settles how much the Engine keeps of the output of containers that a
// makes: without a bound a service fills the disk of every job. Only for drivers
// that keep files on this disk and know the options; what the Engine's
// administrator has set up otherwise stays.
func (a *api) boundLogs(ctx context.Context) error {
	return a.call(ctx, "ask what the Engine is", func(ctx context.Context) error {
		got, err := a.Info(ctx, client.InfoOptions{})
		if err != nil {
			return err
		}
		switch driver := got.Info.LoggingDriver; driver {
		case "json-file", "local":
			a.logs = container.LogConfig{Type: driver, Config: map[string]string{"max-size": maxKept, "max-file": "1", "compress": "false"}}
		}
		return nil
	})
}
