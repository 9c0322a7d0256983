// Package renewal is the agreement between the run stage and the short-lived
// helper that renews a job's session for it, so that the run stage itself need
// not link the AWS SDK. The helper is envrole-prepare, called with Argument; it
// gets the job's key on standard input and everything else by its environment,
// seals the new session, and says on standard output how that went.
package renewal

import (
	"encoding/json"
	"errors"

	"envrole/roles/fault"
)

const (
	// Argument makes envrole-prepare the helper.
	Argument = "__renew-session"
	// Program is the helper's name; it lies beside the run stage.
	Program = "envrole-prepare"
	// MaxResult bounds what the helper says, in bytes.
	MaxResult = 64 << 10
)

// Result is what the helper says.
type Result struct {
	OK    bool        `json:"ok"`
	Class fault.Class `json:"class,omitempty"`
	Error string      `json:"error,omitempty"`
	Help  string      `json:"help,omitempty"`
}

// Of is the result of a renewal that ended with err.
func Of(err error) Result {
	if err == nil {
		return Result{OK: true}
	}
	return Result{Class: fault.ClassOf(err), Error: err.Error(), Help: fault.HelpOf(err)}
}

// Read reverses Of, from what a helper wrote. A helper that said nothing
// readable died: that may pass.
func Read(out []byte) error {
	var r Result
	if err := json.Unmarshal(out, &r); err != nil {
		return fault.New(fault.Passing, "renew session", "", errors.New("the helper ended without an answer"), "")
	}
	if r.OK {
		return nil
	}
	return fault.New(r.Class, "renew session", "", errors.New(r.Error), r.Help)
}

// Final says whether trying again makes no sense.
func Final(err error) bool {
	switch fault.ClassOf(err) {
	case fault.Refused, fault.Permanent:
		return err != nil
	case fault.Passing, fault.Internal:
	}
	return false
}
