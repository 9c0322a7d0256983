// Package agent is the small program that the docker base runs inside its
// containers. It is envrole-run under another first argument, so one static
// file serves: it needs no library, shell or user of the image it runs in.
//
// It promises three things. A script and its environment come over standard
// input and nowhere else, so that no credential stands in an argument or in
// anything that the Engine keeps. When that input ends - the client was killed,
// the job was cancelled, the Engine is gone - every process of the script is
// ended. And before anything of a job runs, its network cannot reach the
// metadata services.
package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// Flag is the first argument by which envrole-run becomes the agent.
	Flag = "--agent"
	// Dir is where the agent is in its own image. Containers of other images see
	// it in a place that begins like this, read-only.
	Dir = "/.envrole"
	// Path is the agent in its own image.
	Path = Dir + "/" + programName
	// Ready is the line by which idle and hold say that they have begun.
	Ready = "envrole: ready"

	programName   = "envrole-run"
	runnerProgram = "gitlab-runner"
	helperProgram = "gitlab-runner-helper"
)

// Exit codes of the agent itself; a script's own comes in a Result.
const (
	codeFailed = 125
	codeUsage  = 124
)

// Main is called first in main of envrole-run, with os.Args. If the program was
// started as the agent it does that work and gives its exit code; else mine is
// false.
func Main(args []string) (code int, mine bool) {
	if len(args) > 0 && filepath.Base(args[0]) == runnerProgram {
		return report(helper(args)), true
	}
	if alone(args) {
		return idle(os.Stdout), true
	}
	if len(args) < 3 || args[1] != Flag {
		return 0, false
	}
	switch verb, rest := args[2], args[3:]; verb {
	case "idle":
		return idle(os.Stdout), true
	case "hold":
		return report(hold(rest, os.Stdout)), true
	case "exec":
		return execMain(os.Stdin, os.Stderr), true
	case "probe":
		return report(probe(os.Stdin, os.Stdout)), true
	case "wait":
		return report(wait(rest, os.Stdout)), true
	case "listen":
		return report(listen(rest, os.Stdin, os.Stdout)), true
	case "end":
		return report(endBelow(rest)), true
	default:
		fmt.Fprintf(os.Stderr, "envrole agent: %q is not known to this version\n", verb)
		return codeUsage, true
	}
}

// alone says whether the program was called in a container without arguments, as
// an entrypoint does that takes its own for a shell's: sh -c, sh -c '... $0'.
func alone(args []string) bool {
	return len(args) == 1 && strings.HasPrefix(args[0], Dir) && strings.HasSuffix(args[0], "/"+programName)
}

func report(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "envrole agent:", err)
	return codeFailed
}

// helper becomes gitlab-runner-helper: GitLab's helper image calls it so, the
// scripts call gitlab-runner.
func helper(args []string) error {
	path, err := lookPath(helperProgram, os.Getenv("PATH"))
	if err != nil {
		return fmt.Errorf("%s stands for %s here: %w", runnerProgram, helperProgram, err)
	}
	err = syscall.Exec(path, append([]string{helperProgram}, args[1:]...), os.Environ()) //nolint:gosec // the script that calls it chose them
	return fmt.Errorf("start %s: %w", path, err)
}

// lookPath finds an executable in the absolute entries of path.
func lookPath(name, path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 { //nolint:gosec // the PATH of the container is the job's own
			return file, nil
		}
	}
	return "", fmt.Errorf("%s is in no directory of PATH: %w", name, errNotFound)
}

var errNotFound = errors.New("not found")

// writeLine writes a line at once: others may write to the same stream.
func writeLine(w io.Writer, s string) error {
	_, err := io.WriteString(w, s+"\n")
	return err
}
