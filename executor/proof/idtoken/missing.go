package idtoken

// This file words what to do about a missing token.

import (
	"errors"
	"fmt"
	"strings"

	"envrole/roles/fault"
)

// ErrMissing marks that the job has no token for EnvRole at all, as opposed to
// one that is not good.
var ErrMissing = errors.New("the job has no ID token for EnvRole")

// maxShown is how many other tokens an error names.
const maxShown = 3

func (v *Verifier) missing(others []string, leftOut int) error {
	var text string
	if len(others) > 0 {
		text = ", but " + strings.Join(others[:min(len(others), maxShown)], ", ")
		if more := len(others) - maxShown; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
	}
	if leftOut > 0 {
		text += fmt.Sprintf("; %d more values were too long or too many to be looked at", leftOut)
	}
	return fault.New(fault.Refused, opVerify, "", fmt.Errorf("%w%s", ErrMissing, text), HowTo(v.opts.Audience))
}

// HowTo is the YAML that gives a job its token, for messages.
func HowTo(audience string) string {
	return "Add to the job in .gitlab-ci.yml:\n" +
		"  id_tokens:\n" +
		"    ENVROLE_ID_TOKEN:\n" +
		"      aud: " + yamlText(audience) + "\n" +
		"The name of the variable does not matter. docs/id-tokens.md shows how a group does that for all its jobs."
}

// yamlText quotes what plain YAML could read as something else.
func yamlText(s string) string {
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}
