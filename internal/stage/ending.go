package stage

import (
	"errors"
	"io"

	"envrole/roles/fault"
)

// explainEnd prints the error of a stage's end. cause is the runner's signal, if
// it has told the stage to end: the job was cancelled, or its time is up. That is
// no failure of EnvRole's, and the job's log does not call it one.
func explainEnd(w io.Writer, err, cause error) {
	if cause != nil && only(err, cause) {
		Say(w, "stopped by the runner: %v", err)
		return
	}
	Explain(w, err)
}

// only says whether an error is cause and nothing else: what could not be ended
// or removed then, and what went wrong besides, is a failure.
func only(err, cause error) bool {
	if err == nil {
		return false
	}
	if err == cause { //nolint:errorlint,err113 // each link is looked at by itself
		return true
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		all := several.Unwrap()
		for _, one := range all {
			if !only(one, cause) {
				return false
			}
		}
		return len(all) > 0
	}
	if _, ours := err.(*fault.Error); ours { //nolint:errorlint // each link is looked at by itself
		return false
	}
	return only(errors.Unwrap(err), cause)
}
