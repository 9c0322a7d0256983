package cleanup

import (
	"errors"
	"fmt"
	"io"

	"envrole/executor/mask"
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
