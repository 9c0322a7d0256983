package admin

import (
	"envrole/internal/bases"
	"envrole/roles/settings"
	"envrole/roles/settings/schema"
)

// examiner is a base that can look on this host for what its table names.
type examiner interface {
	Examine(v schema.Values, n schema.Notes)
}

// found is what a base has found on this host.
type found struct {
	file, table        string
	problems, warnings []settings.Problem
}

// examine has the chosen base look at this host.
func examine(conf *settings.Settings) *found {
	f := &found{file: conf.File, table: "executor." + conf.Executor.Base + "."}
	if base, err := bases.Lean().Named(conf.Executor.Base); err == nil {
		if e, ok := base.(examiner); ok {
			e.Examine(conf.Executor.Table(), f)
		}
	}
	return f
}

func (f *found) note(key, msg string) settings.Problem {
	return settings.Problem{File: f.file, Key: f.table + key, Msg: msg}
}

// Problem implements schema.Notes.
func (f *found) Problem(key, msg string) { f.problems = append(f.problems, f.note(key, msg)) }

// Warn implements schema.Notes.
func (f *found) Warn(key, msg string) { f.warnings = append(f.warnings, f.note(key, msg)) }

func views(problems []settings.Problem) []problemView {
	out := make([]problemView, 0, len(problems))
	for _, p := range problems {
		out = append(out, problemView{Line: p.Line, Key: p.Key, Message: p.Msg})
	}
	return out
}
