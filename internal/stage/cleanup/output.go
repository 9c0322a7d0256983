package cleanup

import (
	"errors"
	"fmt"
	"io"

	"envrole/executor/mask"
	"envrole/internal/handover"
	"envrole/roles/lease"
)

// output is where a base writes in cleanup.
type output struct {
	stdout, stderr io.Writer
	filters        []*mask.Filter
}

// filtered puts the log filter before both streams. Where it cannot be made
// nothing of the base is shown, and the base cleans up all the same.
func filtered(stdout, stderr io.Writer, secrets []string) (output, error) {
	first, err1 := mask.New(stdout, secrets...)
	second, err2 := mask.New(stderr, secrets...)
	if err := errors.Join(err1, err2); err != nil {
		return output{stdout: io.Discard, stderr: io.Discard}, fmt.Errorf("filter what cleanup shows: %w", err)
	}
	return output{stdout: first, stderr: second, filters: []*mask.Filter{first, second}}, nil
}

// flush writes what the filters hold back.
func (o output) flush() error {
	var errs []error
	for _, f := range o.filters {
		errs = append(errs, f.Flush())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write what cleanup shows: %w", err)
	}
	return nil
}

// maskable says whether what was read of the job's state names every secret that a
// base may show. A renewal may have ended after it was read and before the lease was
// closed: the lease, which names the last session, tells.
func maskable(state handover.State, known bool, closed lease.Lease) bool {
	if !known || state.Session == nil {
		return known
	}
	return closed.AccessKeyID == "" || closed.AccessKeyID == state.Session.AccessKeyID
}
