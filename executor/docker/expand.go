package docker

// This file expands variables in what a job says about its containers, as
// GitLab Runner does: $NAME and ${NAME}, once, the last of several values. It
// promises that no author can make it use more memory than its limits.

import (
	"errors"
	"os"
	"path"
	"strings"

	"envrole/executor/job"
)

// The most that a text may have, before and after it is expanded, in bytes. A
// variable of a container must fit into one string of a process's environment.
const (
	maxText     = 4 << 10
	maxVariable = 128<<10 - 1
)

var errTooLong = errors.New("is too long")

// temporaryDir is the variable with the directory of file variables.
const temporaryDir = "RUNNER_TEMP_PROJECT_DIR"

// scope is where names are looked up.
type scope struct {
	vars   []job.ContainerVariable
	lookup func(string) (string, bool) // a variable by the runner's own word
}

// newScope knows the job's variables. environ is this stage's environment: the
// runner hands its drivers every variable of the job there, expanded, with its
// own and those of its config.toml, which the payload lacks.
func newScope(vars []job.ContainerVariable, environ func(string) (string, bool)) scope {
	return scope{vars: vars, lookup: func(name string) (string, bool) {
		if name == "" || strings.Contains(name, "=") {
			return "", false
		}
		return environ("CUSTOM_ENV_" + name)
	}}
}

// get is a variable's value as names are expanded with it; "" if there is none.
func (s scope) get(name string) string {
	if value, special := specialName(name); special {
		return value
	}
	if value, ok := s.lookup(name); ok {
		return value
	}
	value, raw := s.payload(name)
	if raw {
		return value
	}
	expanded, err := expand(value, s.unexpanded, maxVariable)
	if err != nil {
		return ""
	}
	return expanded
}

// unexpanded is what values of variables are expanded with: references do not
// go deeper.
func (s scope) unexpanded(name string) string {
	if value, special := specialName(name); special {
		return value
	}
	for _, v := range s.vars {
		if v.Key == name {
			value, _ := s.payload(name)
			return value
		}
	}
	value, _ := s.lookup(name)
	return value
}

// payload is a variable's own value, of a file variable the path of its file.
func (s scope) payload(name string) (value string, raw bool) {
	for i := len(s.vars) - 1; i >= 0; i-- {
		v := s.vars[i]
		if v.Key != name {
			continue
		}
		if v.File {
			dir, _ := s.lookup(temporaryDir)
			return path.Join(dir, name), true
		}
		return v.Value.Reveal(), v.Raw
	}
	return "", true
}

// specialName says what the shell's own parameters are here: nothing, but for
// $$, which is one $.
func specialName(name string) (string, bool) {
	switch name {
	case "$":
		return name, true
	case "*", "#", "@", "!", "?", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9":
		return "", true
	}
	return "", false
}

// expand replaces $NAME and ${NAME}; most bounds the result.
func expand(text string, get func(string) string, most int) (string, error) {
	if len(text) > most {
		return "", errTooLong
	}
	total := 0
	out := os.Expand(text, func(name string) string {
		value := get(name)
		if total += len(value); total > most {
			return ""
		}
		return value
	})
	if total > most || len(out) > most {
		return "", errTooLong
	}
	return out, nil
}

// text expands one text of the job's YAML.
func (s scope) text(text string) (string, error) { return expand(text, s.get, maxText) }

// shown is a text as an error or a log may have it. One that holds the value of
// a variable that is not public is not shown at all: with older runners the log
// would be the only place it appears in.
func (s scope) shown(text string) string {
	for _, v := range s.vars {
		if value := v.Value.Reveal(); !v.Public && len(value) > 3 && strings.Contains(text, value) {
			return "(not shown: it holds the value of a variable)"
		}
	}
	return job.Quote(text)
}
