package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"envrole/executor/docker/relay"
)

// listen relays what connects to a port of the container's loopback over in and
// out. Its argument is for how long nothing may come from in, a duration.
func listen(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("listen: want a duration")
	}
	silence, err := time.ParseDuration(args[0])
	if err != nil {
		return errors.New("listen: " + strconv.Quote(args[0]) + " is no duration")
	}
	// A session passes through this process: none of the job may look into it.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("listen: hide from the job: %w", err)
	}
	if err := relay.Serve(context.Background(), in, out, silence); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}
