package stage

import (
	"os"
	"path/filepath"
	"syscall"

	"envrole/roles/fault"
)

// FullProgram links every base with its libraries; `envrole stage NAME` does
// the work of a stage there. The lean programs become it, so that jobs of other
// bases do not pay for what one base needs.
const FullProgram = "envrole"

// Elsewhere is the full program beside this one. Both were put there by the
// administrator; MayLend has seen that a job's user cannot replace them.
func Elsewhere() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fault.New(fault.Internal, "find", FullProgram, err, "")
	}
	program := filepath.Join(filepath.Dir(self), FullProgram)
	if _, err := os.Stat(program); err != nil {
		return "", fault.New(fault.Passing, "find", FullProgram, err, "Install all programs of EnvRole in one directory.")
	}
	return program, nil
}

// Become replaces this program by the named stage of the full one, with the
// same environment and output. It returns only if it fails.
func (call Call) Become(name string) error {
	program, err := Elsewhere()
	if err != nil {
		return err
	}
	argv := append([]string{program, "stage", name, "--config", call.ConfigFile, "--"}, call.Args...)
	return fault.New(fault.Internal, "start", program, syscall.Exec(program, argv, os.Environ()), "")
}
