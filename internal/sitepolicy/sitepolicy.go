// Package sitepolicy puts a decision to a program of the site, which has the
// last word.
//
// What it promises: the program that runs is the very file whose digest was
// compared, and nobody but root and the runner's user could have written it; it
// gets the facts and the matched rule, and nothing of the runner's environment;
// only a plain "allow" is taken for one. Whatever else happens - no answer, a
// second answer, an exit code, a timeout, a changed file - lends nothing.
package sitepolicy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"envrole/executor/job/strictjson"
	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/settings"
)

const opAsk = "ask the site's policy"

// questionVersion is raised when the question changes its meaning; keys may be
// added without that.
const questionVersion = 1

// question is what the program reads. It holds no secret: no token, no external
// id, no session policy.
type question struct {
	Version  int              `json:"version"`
	Rule     string           `json:"rule"`
	Line     int              `json:"line,omitempty"`
	RoleARN  string           `json:"role_arn"`
	Chain    []string         `json:"chain,omitempty"`
	Region   string           `json:"region"`
	Duration int              `json:"duration_s"`
	JobURL   string           `json:"job_url"`
	Facts    []roles.FactView `json:"facts"`
}

// Answer is what the program said, and what there is to write down of it.
type Answer struct {
	Allow   bool
	Message string // for the job's author, may be ""
	Took    time.Duration
	// Stderr is what it wrote there, for the audit log, at most 2 KiB.
	Stderr string
}

// Ask puts a decision to lend to the program. The error is nil only where it
// said allow: Refused where it said deny, Permanent where the program is broken
// or not the pinned one, Passing where it took too long. The answer is filled
// as far as it goes, with an error too.
func Ask(ctx context.Context, conf settings.Policy, d roles.Decision, f roles.Facts) (Answer, error) {
	in, err := json.Marshal(question{
		Version: questionVersion, Rule: d.Rule.Name, Line: d.Rule.Line, RoleARN: d.Grant.RoleARN, Chain: d.Grant.Chain,
		Region: d.Grant.Region, Duration: int(d.Grant.Duration.Seconds()), JobURL: f.JobURL, Facts: f.View(),
	})
	if err != nil {
		return Answer{}, fault.New(fault.Internal, opAsk, "", err, "")
	}
	start := time.Now()
	out, stderr, err := run(ctx, conf, append(in, '\n'))
	a := Answer{Took: time.Since(start), Stderr: stderr}
	if err != nil {
		return a, err
	}
	if a.Allow, a.Message, err = parse(out); err != nil {
		return a, broken(fmt.Errorf("its answer is not understood: %w", err))
	}
	if !a.Allow {
		err := fmt.Errorf("role %s by rule %q is denied", d.Grant.RoleARN, d.Rule.Name)
		if a.Message != "" {
			err = fmt.Errorf("%w: %s", err, a.Message)
		}
		return a, fault.New(fault.Refused, opAsk, "", err, "The runner's administrator set up this policy ([policy] command).")
	}
	return a, nil
}

// maxMessage is the longest message in bytes that an author is shown.
const maxMessage = 2000

// parse reads {"allow":true} or {"allow":false,"message":"..."}: one object,
// each key once, no other key.
func parse(out []byte) (allow bool, message string, err error) {
	top, err := strictjson.Value(bytes.TrimSpace(out)).Object()
	if err != nil {
		return false, "", err
	}
	for key := range top {
		if key != "allow" && key != "message" {
			return false, "", errors.New(`it has other keys than "allow" and "message"`)
		}
	}
	if allow, err = top["allow"].Bool(); err != nil {
		return false, "", fmt.Errorf("allow: %w", err)
	}
	if v := top["message"]; v.Present() && !v.Null() {
		if message, err = v.Text(); err != nil {
			return false, "", fmt.Errorf("message: %w", err)
		}
	}
	if len(message) > maxMessage {
		return false, "", fmt.Errorf("message: %d bytes, %d at most", len(message), maxMessage)
	}
	return allow, message, nil
}

func broken(err error) error {
	return fault.New(fault.Permanent, opAsk, "", err,
		"No role is lent without its answer. The runner's administrator mends [policy] in EnvRole's configuration, or the program that it names.")
}
