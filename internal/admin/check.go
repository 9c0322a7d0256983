package admin

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"

	"envrole/internal/bases"
	"envrole/roles/settings"
)

func checkCommand() command {
	return command{
		name: "check",
		args: "[--config FILE] [--json] [--strict]",
		about: "validate the configuration and warn of what deserves a look\n" +
			"Prints every problem with file, line and key. Exit code 1 if the file cannot be used\n" +
			"(with --strict also if there are warnings).",
		flags: func(set *flag.FlagSet) func(context.Context, console) (int, error) {
			strict := set.Bool("strict", false, "warnings are problems")
			return func(_ context.Context, con console) (int, error) { return check(con, *strict) }
		},
	}
}

// checkResult is what `envrole check --json` prints.
type checkResult struct {
	File     string        `json:"file"`
	Usable   bool          `json:"usable"`
	Rules    int           `json:"rules"`
	Problems []problemView `json:"problems"`
	Warnings []problemView `json:"warnings"`
	Notes    []string      `json:"notes,omitempty"`
}

type problemView struct {
	Line    int    `json:"line,omitempty"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
}

func check(con console, strict bool) (int, error) {
	conf, err := settings.Load(con.config, bases.Lean().Tables())
	var problems settings.Problems
	if err != nil && !errors.As(err, &problems) {
		return exitFailure, err
	}
	if conf != nil {
		onHost := examine(conf)
		problems, conf.Warnings = append(problems, onHost.problems...), append(conf.Warnings, onHost.warnings...)
	}
	res := checkResult{File: con.config, Usable: err == nil && len(problems) == 0, Problems: views(problems), Warnings: views(nil)}
	if conf != nil {
		res.Rules, res.Warnings, res.Notes = len(conf.Rules), views(conf.Warnings), conf.Notes()
	}
	code := exitOK
	if !res.Usable || (strict && len(res.Warnings) > 0) {
		code = exitFinding
	}
	if con.json {
		enc := json.NewEncoder(con.out)
		enc.SetIndent("", "  ")
		return code, enc.Encode(res)
	}
	for _, p := range problems {
		fmt.Fprintf(con.out, "problem: %s\n", p)
	}
	if conf != nil {
		for _, w := range conf.Warnings {
			fmt.Fprintf(con.out, "warning: %s\n", w)
		}
		for _, n := range res.Notes {
			fmt.Fprintf(con.out, "note: %s\n", n)
		}
	}
	if res.Usable {
		fmt.Fprintf(con.out, "%s: usable; rules: %d, warnings: %d\n", con.config, res.Rules, len(res.Warnings))
	} else {
		fmt.Fprintf(con.out, "%s: not usable; problems: %d\n", con.config, len(problems))
	}
	return code, nil
}
