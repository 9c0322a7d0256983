// Package bases is the list of base executors. A new base is a folder below
// executor/ and a line here.
package bases

import (
	"encoding/json"
	"fmt"
	"slices"

	"envrole/executor"
	"envrole/executor/docker"
	"envrole/executor/driver"
	"envrole/executor/shell"
	"envrole/roles/fault"
	"envrole/roles/settings/schema"
)

// Set is the base executors that a program knows.
type Set []executor.Base

// Lean is every base, without the libraries that only some of them need: those
// are opened elsewhere (executor.ErrElsewhere, package full).
func Lean() Set {
	return Set{
		shell.Base{},
		docker.New(docker.Engine{}),
		driver.Base{},
	}
}

// With is the set with b in the place of the base of its name.
func (s Set) With(b executor.Base) Set {
	out := slices.Clone(s)
	i := slices.IndexFunc(out, func(o executor.Base) bool { return o.Table().Name == b.Table().Name })
	if i < 0 {
		return append(out, b)
	}
	out[i] = b
	return out
}

// Tables describes [executor.NAME] of each.
func (s Set) Tables() []schema.Table {
	var tables []schema.Table
	for _, b := range s {
		tables = append(tables, b.Table())
	}
	return tables
}

// Named finds the base that executor.base, or a job's sealed state, names.
func (s Set) Named(name string) (executor.Base, error) {
	for _, b := range s {
		if b.Table().Name == name {
			return b, nil
		}
	}
	return nil, fault.New(fault.Internal, "find base executor", name, fmt.Errorf("this version does not know it"),
		"All programs of EnvRole must be of one version; the job can be retried.")
}

// Open makes the executor of a job's sealed plan.
func (s Set) Open(name string, plan json.RawMessage) (executor.Executor, error) {
	b, err := s.Named(name)
	if err != nil {
		return nil, err
	}
	return b.Open(plan)
}
